"""Identifiers of result and image, compared as an archive reads them."""

import pytest

from dicom.parsing.header import read_header
from dicom.phantom import as_dataset, draw, write
from dicom.validation.source_image import filing_faults


@pytest.fixture
def header(tmp_path):
    """A function that returns the header of an image with changed attributes."""

    def make(**attributes):
        dataset = as_dataset(draw(1, rows=64, columns=64))
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        return read_header(write(dataset, tmp_path / "image.dcm"))

    return make


def test_equal_or_empty_identifiers_are_no_fault(header):
    """An archive may file by an empty one, but not by another."""
    image = header(AccessionNumber="A1", StudyID="7", IssuerOfPatientID="K")
    assert list(filing_faults(image, image)) == []
    emptied = header(AccessionNumber="", StudyID="", IssuerOfPatientID="")
    assert list(filing_faults(emptied, image)) == []


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "PatientID", "AccessionNumber", "StudyID", "IssuerOfPatientID"]
)
def test_each_identifier_that_differs_is_a_fault(header, keyword):
    """One fault that names the attribute."""
    value = "1.2.3" if keyword == "StudyInstanceUID" else "OTHER"
    ((rule, reason),) = filing_faults(header(**{keyword: value}), header())
    assert rule == "source"
    assert "is not that of the image" in reason
    assert "OTHER" not in reason


def test_other_patient_ids_may_be_left_out_but_not_added(header):
    """Each must be one of the image's."""
    image = header(OtherPatientIDs=["A", "B"])
    assert list(filing_faults(header(OtherPatientIDs=["B"]), image)) == []
    assert list(filing_faults(header(), image)) == []
    ((_, reason),) = filing_faults(header(OtherPatientIDs=["C"]), image)
    assert "has a value that the image has not" in reason


def test_an_id_without_an_exact_copy_is_a_fault(header):
    """The fault names the image's attribute."""
    image = header(PatientID="1\r\n2")
    ((_, reason),) = filing_faults(image, image)
    assert "of the image has no exact copy" in reason
