"""The patient of a study, and the differences between copies of its image, read from the files.

The values are sent only to the page that requested them: never stored, logged or sent as live updates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.errors import DicomError
from dicom.parsing.header import read_header
from service.jobs import DraftStatus
from service.records import JobWithDraft, ReceivedInstance
from service.store import Store

# Attribute keyword and its name on the page (PS3.3 C.7.1.1, C.7.2.1).
_IDENTITY: Final = {
    "PatientName": "Patient's name",
    "PatientID": "Patient ID",
    "PatientBirthDate": "Birth date",
    "PatientSex": "Sex",
    "AccessionNumber": "Accession number",
    "StudyDate": "Study date",
    "StudyDescription": "Study description",
}
# Further attributes, shown where two copies differ in them (`dicom.selection.copy_comparison`).
_COMPARED: Final = {
    "IssuerOfPatientID": "Issuer of patient ID",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
    "ViewPosition": "View position",
    "ImageLaterality": "Image laterality",
    "Laterality": "Laterality",
    "PatientOrientation": "Patient orientation",
    "BodyPartExamined": "Body part examined",
    "Rows": "Rows",
    "Columns": "Columns",
}
_TAGS: Final = frozenset(
    tag
    for tag in map(tag_for_keyword, ("SpecificCharacterSet", *_IDENTITY, *_COMPARED))
    if tag is not None
)
_MOST_COPIES: Final = 3
_LONGEST: Final = 200
_UNREADABLE: Final = "cannot be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRow:
    """One attribute in all copies.

    Attributes:
        values: Its value in each copy, in the order of `Copies.copies`; "" where it is absent.
        differs: Whether a later copy has another value than the first.
    """

    name: str
    values: Sequence[str]
    differs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Copies of one image, side by side.

    Attributes:
        copies: The copy that was read, then the latest ones that differ, in order of arrival.
        rows: The identity attributes that a copy has, and other attributes that differ; rows that
            differ come first.
    """

    copies: Sequence[ReceivedInstance]
    rows: Sequence[CopyRow]


def identity(
    job: JobWithDraft | None, instances: Sequence[ReceivedInstance]
) -> tuple[dict[str, str], str]:
    """Return a study's identity by attribute name, and a sentence if it cannot be read, else "".

    Args:
        job: The job that the page shows, or None.
        instances: The study's Instances, conflicts included.
    """
    readable = [each for each in instances if not each.conflict]
    if not readable:
        return {}, "The image is no longer stored."
    source = job.drafted_image if job else ""
    chosen = next((each for each in readable if each.sop_instance_uid == source), readable[0])
    header = _header(chosen)
    if header is None:
        return {}, "The image's header cannot be read."
    found = {name: _readable(header, keyword) for keyword, name in _IDENTITY.items()}
    return {name: value for name, value in found.items() if value}, ""


def copies(store: Store, job: JobWithDraft | None) -> Copies | None:
    """Return the copies of the image of a draft in doubt; None if it is not, or no copy differs.

    Raises:
        StoreError: The database does not answer.
    """
    if job is None or job.draft is None or job.draft_status is not DraftStatus.IN_DOUBT:
        return None
    kept = store.copies_of(job.draft.source.sop_instance_uid)
    first = [each for each in kept if not each.conflict]
    later = [each for each in kept if each.conflict and each.differs]
    shown = [*first, *later[-_MOST_COPIES:]]
    if not first or not later:
        return None
    headers = [_header(each) for each in shown]
    named = [_row(keyword, name, headers) for keyword, name in _IDENTITY.items()]
    others = [_row(keyword, name, headers) for keyword, name in _COMPARED.items()]
    rows = [each for each in named if any(each.values)]
    rows += [each for each in others if each.differs]
    return Copies(copies=shown, rows=sorted(rows, key=lambda row: not row.differs))


def _row(keyword: str, name: str, headers: Sequence[Dataset | None]) -> CopyRow:
    values = [_UNREADABLE if each is None else _readable(each, keyword) for each in headers]
    return CopyRow(name=name, values=values, differs=len(set(values)) > 1)


def _header(instance: ReceivedInstance) -> Dataset | None:
    try:
        return read_header(instance.path, only=_TAGS, strict=False)
    except DicomError:
        return None


def _readable(header: Dataset, keyword: str) -> str:
    """Return the first 200 characters of a header value, in readable form."""
    value = header.get(keyword)
    several = "\\".join(map(str, value)) if isinstance(value, MultiValue) else value
    text = "" if several is None else str(several)[:_LONGEST]
    if keyword.endswith("Date") and len(text) == 8 and text.isdigit():
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if keyword == "PatientName":
        # Component groups: alphabetic, ideographic, phonetic (PS3.5 6.2, VR PN).
        return " = ".join(_name(group) for group in text.split("=") if group.strip("^ "))
    return text


def _name(group: str) -> str:
    family, *others = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in others if part)
    return f"{family}, {given}" if given else family
