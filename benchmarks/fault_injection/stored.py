"""The attributes of a stored object, read from its bytes."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pydicom

from dicom.spool.digest import new_hasher

_BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
_FINDING: Final = "121071"  # DCM, of a sentence of the draft
PATIENT: Final = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object.

    Attributes:
        patient: The attributes of `PATIENT`.
        sha256: Of its file.
        content: Digest of the data set's bytes, which stay the same over DICOM and HTTP.
    """

    study_instance_uid: str
    sop_instance_uid: str
    patient: tuple[str, ...]
    sha256: str
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(Stored):
    """One draft report.

    Attributes:
        revision: Its Series Number, which counts the study's revisions.
        image: SOP Instance UID of the one that was read.
        findings: Its sentences.
    """

    revision: int
    image: str
    findings: tuple[str, ...]


def content_digest(file: bytes) -> str:
    """Return the digest of what follows the file meta group (PS3.10 7.1)."""
    # Preamble, prefix, and an element of group length: its four bytes of value count the rest.
    begins = 144 + int.from_bytes(file[140:144], "little")
    hasher = new_hasher()
    hasher.update(file[begins:])
    return hasher.hexdigest()


def of_file(file: bytes) -> Stored:
    """Return the attributes of a stored file."""
    dataset = pydicom.dcmread(io.BytesIO(file), defer_size=2**16)
    stored = Stored(
        study_instance_uid=str(dataset.StudyInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        patient=patient_of(dataset),
        sha256=hashlib.sha256(file).hexdigest(),
        content=content_digest(file),
    )
    return _draft(stored, dataset) if dataset.SOPClassUID == _BASIC_TEXT_SR else stored


def _draft(stored: Stored, dataset: pydicom.Dataset) -> Draft:
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0]
    image = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    return Draft(
        study_instance_uid=stored.study_instance_uid,
        sop_instance_uid=stored.sop_instance_uid,
        patient=stored.patient,
        sha256=stored.sha256,
        content=stored.content,
        revision=int(dataset.SeriesNumber),
        image=str(image.ReferencedSOPInstanceUID),
        findings=tuple(_findings(dataset)),
    )


def _findings(item: pydicom.Dataset) -> Iterator[str]:
    for each in item.get("ContentSequence", []):
        names = each.get("ConceptNameCodeSequence")
        if names and names[0].CodeValue == _FINDING and "TextValue" in each:
            yield str(each.TextValue)
        yield from _findings(each)


def patient_of(dataset: pydicom.Dataset) -> tuple[str, ...]:
    """Return the patient attributes of a data set, in the order of `PATIENT`."""
    return tuple(str(dataset.get(keyword, "")) for keyword in PATIENT)
