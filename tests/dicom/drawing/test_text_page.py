"""A page of text that grows with its text."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom.drawing.text_page import WIDTH, Page, day


@pytest.mark.parametrize(
    ("value", "text"), [("20260304", "2026-03-04"), ("2026", "not stated"), ("", "not stated")]
)
def test_a_date_is_readable(value, text):
    """Or a note that they are not stated."""
    assert day(value) == text


def image(page, foot="foot"):
    """Return the page as uint8 [H, W]."""
    return np.asarray(page.finished(foot))


def test_an_empty_page_has_its_footer():
    """White but for the last line."""
    made = image(Page())
    assert made.shape == (1754, WIDTH)
    assert (made[:1600] == 255).all()
    assert (made[1600:] < 255).any()


def test_a_page_grows_and_is_marked_when_it_is_cut():
    """Text beyond the greatest height is left out, and the footer says so."""
    page = Page()
    for _ in range(60):
        page.paragraph("A sentence about the chest.")
    longer = image(page)
    assert 1754 < longer.shape[0] < 5 * 1754
    for _ in range(600):
        page.paragraph("A sentence about the chest.")
    cut = image(page)
    assert cut.shape[0] == 5 * 1754
    whole = Page()
    assert not np.array_equal(image(whole)[-80:], cut[-80:])


def test_rows_of_four_and_five_cells():
    """A strong row is shaded."""
    page = Page()
    page.table_head(("a", "b", "c", "d"))
    page.row(("a", "b", "c", "d"))
    plain = image(page)
    assert np.count_nonzero(plain == 238) < 1000
    page.row(("a", "b", "c", "d", "e"), strong=True)
    assert np.count_nonzero(image(page) == 238) > 20_000


def test_a_long_name_is_set_smaller_and_not_cut():
    """Patient, ID, birth date and accession number are shown, or a note that they are not stated."""
    header = Dataset()
    header.PatientName, header.PatientID = "A" * 60 + "^" + "B" * 60, ""
    header.PatientBirthDate = header.StudyDate = header.PatientSex = header.AccessionNumber = ""
    page = Page()
    page.banner(("AI DRAFT", "NOT VERIFIED"))
    page.patient(header)
    made = image(page)
    assert (made[:, WIDTH - 40 :][200:1600] == 255).all()
    assert (made[230:260, 224 : WIDTH - 84] < 128).any()
