from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom.destinations.archive_comparison import first_difference


def _bytes(data: Dataset, syntax=ExplicitVRLittleEndian) -> bytes:
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture
def report() -> Dataset:
    """A report with a patient, a flag and a content item."""
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "TEXT"
    item.TextValue = "No pneumothorax."
    report = Dataset()
    report.SOPClassUID = BasicTextSRStorage
    report.SOPInstanceUID = report.StudyInstanceUID = report.SeriesInstanceUID = "2.25.1"
    report.PatientName = "Draft^Test"
    report.AccessionNumber = "A1"
    report.Modality = "SR"
    report.VerificationFlag = "UNVERIFIED"
    report.ContentSequence = Sequence([item])
    return report


def test_the_same_bytes_are_the_same_object(report):
    """Equal files have no difference."""
    ours = _bytes(report)
    assert first_difference(ours, ours) is None


def test_a_new_preamble_and_file_meta_group_are_no_difference(report):
    """An archive may write its own file meta information."""
    ours = _bytes(report)
    copy = dcmread(BytesIO(ours))
    copy.file_meta.SourceApplicationEntityTitle = "ARCHIVE"
    file = BytesIO()
    copy.save_as(file)
    assert first_difference(ours, file.getvalue()) is None


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda each: each.keyword,
)
def test_another_encoding_of_the_same_is_no_difference(report, syntax):
    """Implicit, explicit and deflated files of one data set agree."""
    ours = _bytes(report)
    assert first_difference(ours, _bytes(dcmread(BytesIO(ours)), syntax)) is None


def test_corrected_identity_is_no_difference(report):
    """Patient and study may be coerced, and the archive may keep notes of its own."""
    ours = _bytes(report)
    report.PatientName = "Merged^Patient"
    report.OtherPatientIDs = "7"
    report.AccessionNumber = "A2"
    report.private_block(0x0099, "ARCHIVE", create=True).add_new(0x01, "LO", "note")
    assert first_difference(ours, _bytes(report)) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda each: setattr(each, "VerificationFlag", "VERIFIED"), "VerificationFlag"),
        (lambda each: setattr(each, "SOPInstanceUID", "2.25.2"), "SOPInstanceUID"),
        (lambda each: delattr(each, "Modality"), "Modality"),
        (lambda each: setattr(each, "SeriesNumber", 1), "SeriesNumber"),
        (
            lambda each: setattr(each.ContentSequence[0], "TextValue", "Pneumothorax."),
            "ContentSequence",
        ),
        (lambda each: each.ContentSequence.append(each.ContentSequence[0]), "ContentSequence"),
    ],
)
def test_what_the_object_states_must_be_the_same(report, change, expected):
    """A flag, a UID, a missing or added attribute or another sentence is found, by keyword only."""
    ours = _bytes(report)
    change(report)
    assert first_difference(ours, _bytes(report)) == expected


@pytest.mark.parametrize("length", [0, 1, 131, 140, 180, 300])
def test_a_copy_that_is_cut_off_differs(report, length):
    """A truncated copy is a difference, never an exception."""
    ours = _bytes(report)
    assert first_difference(ours, ours[:length]) is not None


def test_bytes_that_are_no_dicom_differ(report):
    """For any answer of an archive the comparison ends with a result."""
    ours = _bytes(report)
    for junk in (b"<html>", bytes(5000), b"\xff" * 5000, ours[:200] + b"\xff" * 3000):
        assert first_difference(ours, junk) is not None
