"""Check that an archive files a result with its image: identifiers are compared by their bytes."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicom.attributes import named
from dicom.exact_text import Reading, reading, readings
from dicom.validation.codes import Pair

# These must equal the image's value or be empty; an archive may file by them or show them.
_SAME_OR_EMPTY: Final = (
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
)
_EMPTY: Final = Reading("")


def filing_faults(dataset: Dataset, source: Dataset) -> Iterator[Pair]:
    """Yield a fault for each identifier that an archive would read differently in result and image.

    Args:
        dataset: The result.
        source: Header of its image, from `dicom.parsing.header`, with the identifiers' original bytes.
    """
    if _study(dataset) != _study(source):
        yield "source", "StudyInstanceUID is not that of the image"
    patient = reading(source, "PatientID")
    if patient.fault is not None:
        yield "source", f"{named('PatientID')} of the image has no exact copy: {patient.fault}"
    elif reading(dataset, "PatientID") != patient:
        yield "source", f"{named('PatientID')} is not that of the image"
    for keyword in _SAME_OR_EMPTY:
        if reading(dataset, keyword) not in (_EMPTY, reading(source, keyword)):
            yield "source", f"{named(keyword)} is not that of the image"
    others = set(readings(source, "OtherPatientIDs"))
    if not set(readings(dataset, "OtherPatientIDs")) <= others | {_EMPTY}:
        yield "source", f"{named('OtherPatientIDs')} has a value that the image has not"


def _study(dataset: Dataset) -> str:
    return str(dataset.get("StudyInstanceUID") or "").strip(" \0")
