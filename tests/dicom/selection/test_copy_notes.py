"""Notes on identifiers that differ between image and results."""

import pytest

from dicom.parsing.header import read_header
from dicom.phantom import as_dataset, draw, write
from dicom.selection.copy_notes import copy_notes


@pytest.fixture
def notes(tmp_path):
    """A function that returns the notes on an image whose attributes are changed."""

    def find(**attributes):
        dataset = as_dataset(draw(1, rows=64, columns=64))
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        return copy_notes(read_header(write(dataset, tmp_path / "image.dcm")))

    return find


def test_clean_identifiers_have_no_notes(notes):
    """No note if everything can be copied."""
    assert notes() == ()
    assert notes(AccessionNumber="A-1", IssuerOfPatientID="KLINIKUM") == ()


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("AccessionNumber", "Accession Number (0008,0050)"),
        ("StudyID", "Study ID (0020,0010)"),
        ("IssuerOfPatientID", "Issuer of Patient ID (0010,0021)"),
    ],
)
def test_an_identifier_that_is_left_out_is_named_without_its_value(notes, keyword, name):
    """A line break in it has no exact copy."""
    (note,) = notes(**{keyword: "SECRET\nxy"})
    assert name in note
    assert note.startswith("The results do not carry")
    assert "SECRET" not in note


def test_a_name_that_is_changed_is_named(notes):
    """Control characters are not copied."""
    found = notes(PatientName="Film\x07^Anna")
    assert len(found) == 1
    assert found[0].startswith("The results show a changed Patient's Name (0010,0010)")
    assert "Anna" not in found[0]
