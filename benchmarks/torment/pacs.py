"""What lies in the PACS in the end, read from the bytes that it keeps."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx
import pydicom

from torment.load import patient_of
from torment.site import Site

_BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
_FINDING: Final = "121071"  # DCM, of a sentence of the draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One object; `patient` are the attributes of `load.PATIENT`, `sha256` is that of its file."""

    study_instance_uid: str
    sop_instance_uid: str
    patient: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(Stored):
    """One draft report.

    Attributes:
        revision: Its Series Number, which counts the study's revisions.
        film: SOP Instance UID of the one that was read.
        findings: Its sentences.
    """

    revision: int
    film: str
    findings: tuple[str, ...]


def stored_in(site: Site) -> Iterator[Stored]:
    """Yield every object in the PACS."""
    with httpx.Client(base_url=site.orthanc_url, timeout=60) as client:
        for identifier in client.get("/instances").raise_for_status().json():
            file = client.get(f"/instances/{identifier}/file").raise_for_status().content
            yield _stored(file)


def _stored(file: bytes) -> Stored:
    dataset = pydicom.dcmread(io.BytesIO(file), defer_size=2**16)
    stored = Stored(
        study_instance_uid=str(dataset.StudyInstanceUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        patient=patient_of(dataset),
        sha256=hashlib.sha256(file).hexdigest(),
    )
    return _draft(stored, dataset) if dataset.SOPClassUID == _BASIC_TEXT_SR else stored


def _draft(stored: Stored, dataset: pydicom.Dataset) -> Draft:
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0]
    film = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    return Draft(
        study_instance_uid=stored.study_instance_uid,
        sop_instance_uid=stored.sop_instance_uid,
        patient=stored.patient,
        sha256=stored.sha256,
        revision=int(dataset.SeriesNumber),
        film=str(film.ReferencedSOPInstanceUID),
        findings=tuple(_findings(dataset)),
    )


def _findings(item: pydicom.Dataset) -> Iterator[str]:
    for each in item.get("ContentSequence", []):
        names = each.get("ConceptNameCodeSequence")
        if names and names[0].CodeValue == _FINDING and "TextValue" in each:
            yield str(each.TextValue)
        yield from _findings(each)
