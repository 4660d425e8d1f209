"""The report page: as tall as its text needs, up to five pages."""

import numpy as np
import pytest

from dicom.content.result_header import new_result
from dicom.drawing.text_page import WIDTH
from dicom.results.report_page import page_image


@pytest.fixture
def page(image_header, make_draft, equipment):
    """A function that returns the page of a draft with changes, as uint8 [H, W]."""

    def make(**changes):
        header = image_header()
        draft = make_draft(header, **changes)
        written = new_result(draft, header, equipment, kind="report-page")
        return np.asarray(page_image(draft, header, written, equipment))

    return make


def test_a_short_draft_is_one_page(page):
    """White paper with a black banner; the same draft gives the same pixels."""
    first = page()
    assert first.shape == (1754, WIDTH)
    assert np.mean(first[:190] == 0) > 0.5
    assert np.mean(first[300:] == 255) > 0.8
    assert np.array_equal(first, page())


def test_a_long_draft_makes_it_taller_up_to_a_limit(page):
    """Every line is there until the limit."""
    line = "There may be a consolidation in the left lower lobe of the lung."
    longer = page(findings_text=(line,) * 60)
    assert 1754 < longer.shape[0] <= 5 * 1754
    longest = page(findings_text=(line,) * 500)
    assert longest.shape[0] == 5 * 1754


def test_the_text_is_drawn(page):
    """Another sentence gives another page."""
    assert not np.array_equal(page(), page(impression_text=("Normal.",)))
