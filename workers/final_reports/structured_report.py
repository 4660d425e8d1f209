"""The text of a report SR from another system, under limits (PS3.3 C.17.3, PS3.16 TID 2000).

Only a verified and complete document counts as final (PS3.3 C.17.2.1). Text under the headings Findings
and Impressions is taken where there are any, else all text; numbers, codes and measurements are not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
)

from dicom.attributes import items, value_of
from dicom.errors import DicomError, InvalidIdentifier
from dicom.identifiers import check_uid
from dicom.parsing.element_scanner import HeaderLimits
from dicom.parsing.header import read_header
from service.final_reports.fields import LONGEST_TEXT
from service.final_reports.report import FinalReport, FinalSource, ReportKeys

REPORT_CLASSES: Final = (
    BasicTextSRStorage,
    EnhancedSRStorage,
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
)
_LIMITS: Final = HeaderLimits(max_bytes=4 * 2**20, max_elements=50_000, max_depth=32)
_DEEPEST: Final = 16
_MOST_ITEMS: Final = 5000
# DCM codes of the headings (PS3.16 CID 7001) and the section names that stand before their text.
_HEADINGS: Final = {"121070": "FINDINGS", "121072": "IMPRESSION", "121076": "IMPRESSION"}
# DCM codes of titles of documents that are measurements of programs, no reports (PS3.16 CID 7021).
_OTHER_TITLES: Final = frozenset({"126000", "126001", "126002", "126003", "111036", "112000"})
_OWN_NAME: Final = "wetread"
_LONGEST_KEY: Final = 64


@dataclass(frozen=True, slots=True)
class _TextItem:
    heading: str
    text: str


def report_in(path: Path) -> FinalReport | None:
    """Return the final report that an SR holds; None if it is no final report of another system.

    Raises:
        DicomError: The file cannot be read, or exceeds the limits.
    """
    document = read_header(path, _LIMITS, strict=False)
    if not _is_final(document) or _is_own(document) or _title(document) in _OTHER_TITLES:
        return None
    text = _joined(list(_texts(document)))
    keys = _keys(document)
    if not text or keys is None:
        return None
    return FinalReport(
        source=FinalSource.SR,
        keys=keys,
        report_id=_cut(document, "SOPInstanceUID"),
        reported_at=_verified_at(document),
        text=text,
    )


def _is_final(document: Dataset) -> bool:
    complete, verified = (
        value_of(document, "CompletionFlag"),
        value_of(document, "VerificationFlag"),
    )
    return (str(complete), str(verified)) == ("COMPLETE", "VERIFIED")


def _is_own(document: Dataset) -> bool:
    return str(value_of(document, "Manufacturer") or "").strip().casefold() == _OWN_NAME


def _title(document: Dataset) -> str:
    return _code(document, "ConceptNameCodeSequence")


def _code(item: Dataset, keyword: str) -> str:
    found = next(iter(items(item, keyword)), None)
    return "" if found is None else str(value_of(found, "CodeValue") or "")


def _texts(document: Dataset) -> Iterator[_TextItem]:
    """Yield the TEXT items in document order, each with the section it stands in.

    Raises:
        DicomError: The tree is deeper or larger than the limits.
    """
    left = _MOST_ITEMS
    stack: list[tuple[Dataset, str, int]] = [
        (each, "", 1) for each in reversed(_children(document))
    ]
    while stack:
        item, heading, depth = stack.pop()
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise DicomError("the content tree of the SR is larger than a report's")
        heading = _HEADINGS.get(_code(item, "ConceptNameCodeSequence"), heading)
        text = str(value_of(item, "TextValue") or "").strip()
        if str(value_of(item, "ValueType")) == "TEXT" and text:
            yield _TextItem(heading, text)
        stack += [(each, heading, depth + 1) for each in reversed(_children(item))]


def _children(item: Dataset) -> Sequence[Dataset]:
    return items(item, "ContentSequence")


def _joined(texts: Sequence[_TextItem]) -> str:
    headed = [each for each in texts if each.heading] or texts
    lines, last = [], ""
    for each in headed:
        if each.heading and each.heading != last:
            lines.append(f"{each.heading}:")
        last = each.heading
        lines.append(each.text)
    return "\n".join(lines).replace("\0", "")[:LONGEST_TEXT]


def _keys(document: Dataset) -> ReportKeys | None:
    try:
        study_uid = check_uid(value_of(document, "StudyInstanceUID") or "")
    except InvalidIdentifier:
        return None
    requests = items(document, "ReferencedRequestSequence")
    numbers = {_cut(each, "AccessionNumber") for each in (document, *requests)} - {""}
    return ReportKeys(
        # A report on several orders: the study decides.
        accession_number=numbers.pop() if len(numbers) == 1 else "",
        study_uid=study_uid,
        patient_id=_cut(document, "PatientID"),
        issuer=_cut(document, "IssuerOfPatientID"),
    )


def _cut(item: Dataset, keyword: str) -> str:
    return str(value_of(item, keyword) or "").strip().replace("\0", "")[:_LONGEST_KEY]


def _verified_at(document: Dataset) -> datetime | None:
    """Return the time of the last verification; without time zone it is of the site."""
    times = []
    for observer in items(document, "VerifyingObserverSequence"):
        digits = str(value_of(observer, "VerificationDateTime") or "")
        try:
            times.append(datetime.strptime(digits[:14], "%Y%m%d%H%M%S").astimezone())
        except (ValueError, OverflowError, OSError):
            continue
    return max(times, default=None)
