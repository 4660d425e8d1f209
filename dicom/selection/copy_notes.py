"""Notes on the identifiers and names that results do not carry as the image does."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicom.attributes import items, named
from dicom.content.patient_study import value_of
from dicom.exact_text import IDENTIFIERS, Inexact, name_fault, reading, readings

_NAMES: Final = ("PatientName", "ReferringPhysicianName")
_SINGLE: Final = (
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
)
_SEQUENCES: Final = (
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "IssuerOfAccessionNumberSequence",
    "RequestAttributesSequence",
)


def copy_notes(source: Dataset) -> tuple[str, ...]:
    """Return a sentence for each identifier and name that results do not carry as `source` does."""
    notes = [
        f"The results show a changed {named(keyword)}: {fault}."
        for keyword, fault in _name_faults(source)
    ]
    notes += [
        f"The results do not carry the {named(keyword)} of the image: {fault}."
        for keyword, fault in _identifier_faults(source)
    ]
    return tuple(dict.fromkeys(notes))


def _name_faults(source: Dataset) -> Iterator[tuple[str, Inexact]]:
    for keyword in _NAMES:
        fault = name_fault(source, keyword)
        if fault is None and str(value_of(source, keyword) or "") != _as_read(source, keyword):
            fault = Inexact.CHANGED
        if fault is not None:
            yield keyword, fault


def _as_read(source: Dataset, keyword: str) -> str:
    return str(source.get(keyword) or "").strip(" \0")


def _identifier_faults(source: Dataset) -> Iterator[tuple[str, Inexact]]:
    for keyword in _SINGLE:
        if (fault := reading(source, keyword).fault) is not None:
            yield keyword, fault
    for each in readings(source, "OtherPatientIDs"):
        if each.fault is not None:
            yield "OtherPatientIDs", each.fault
    for sequence in _SEQUENCES:
        for item in items(source, sequence):
            for keyword in sorted(IDENTIFIERS):
                if (fault := reading(item, keyword).fault) is not None:
                    yield keyword, fault
