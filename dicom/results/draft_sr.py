"""The draft report as a Basic Text SR that follows TID 2000.

Basic Text SR is the narrowest SOP Class for a narrative (PS3.3 A.35.1): it has no numbers and no
coordinates, and every viewer shows it. Viewers show values without their concept names. Therefore each
item is a complete sentence, and the first one states that this is an unverified AI draft.
"""

from collections.abc import Iterator

from highdicom import sr
from pydicom.dataset import Dataset

from dicom.content import codes, phrases
from dicom.content.highdicom_header import read_image
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import clean_text, overlong, value_of
from dicom.content.report import DraftReport
from dicom.content.result_header import Equipment, model_text, new_result
from dicom.content.sr_document import (
    Completion,
    Relationship,
    container,
    device_author,
    device_observer,
    diagnostic_report,
    image,
    order_of,
    report_document,
    section,
    text,
)


def draft_report(
    draft: DraftReport, source: Dataset, equipment: Equipment, completion: Completion = "PARTIAL"
) -> Dataset:
    """Return the Basic Text SR of `draft`.

    Args:
        draft: The draft whose text is written.
        source: Header of the image that was read.
        equipment: This installation, the device observer.
        completion: A PARTIAL document cannot be marked VERIFIED; some PACS hide PARTIAL documents.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    header = new_result(draft, source, equipment, kind=OutputKind.DRAFT_REPORT)
    observer = device_observer(equipment, draft.model.name, model_text(draft))
    sections = _sections(draft, source, equipment)
    return report_document(
        header,
        source,
        diagnostic_report(codes.CHEST_RADIOGRAPH, observer, sections),
        author=device_author(equipment),
        evidence=[read_image(draft)],
        predecessor=draft.predecessor,
        description="AI draft; not reviewed by a radiologist",
        is_complete=completion == "COMPLETE",
    )


def _sections(
    draft: DraftReport, source: Dataset, equipment: Equipment
) -> Iterator[sr.ContentItem]:
    described = [
        phrases.warning(draft, equipment),
        phrases.procedure(source),
        *phrases.remarks(draft),
    ]
    yield section(codes.CURRENT_PROCEDURE_DESCRIPTIONS, codes.PROCEDURE_DESCRIPTION, described)
    if order := _order_lines(source):
        yield section(codes.INDICATIONS_FOR_PROCEDURE, codes.REQUEST, order)
    yield container(codes.FINDINGS, _findings(draft))
    yield container(codes.IMPRESSIONS, _impressions(draft))


def _order_lines(source: Dataset) -> list[str]:
    """Return the reason for the order, and the accession number if too long for its attribute."""
    reason = order_of(source).get("ReasonForTheRequestedProcedure")
    reason = reason or value_of(source, "ReasonForTheRequestedProcedure")
    lines = [f"Reason for the request: {clean_text(reason)}"] if reason else []
    accession = overlong(source, "AccessionNumber")
    if accession:
        lines.append(f"Accession number: {clean_text(accession)}")
    return lines


def _findings(draft: DraftReport) -> list[sr.ContentItem]:
    sentences = [line for line in map(clean_text, draft.findings_text) if line]
    items: list[sr.ContentItem] = [
        text(codes.FINDING, line, children=_seen_on(draft, line))
        for line in sentences or [phrases.NO_FINDINGS_TEXT]
    ]
    items.extend(
        text(codes.FINDING, line, children=[_illustration(draft)]) for line in _not_mentioned(draft)
    )
    not_mentioned = phrases.not_mentioned(draft)
    if not_mentioned:
        items.append(text(codes.FINDING, not_mentioned))
    return items


def _impressions(draft: DraftReport) -> list[sr.ContentItem]:
    lines = [line for line in map(clean_text, draft.impression_text) if line]
    items = [
        text(codes.IMPRESSION, f"{number}. {line}", children=_seen_on(draft, line))
        for number, line in enumerate(lines, start=1)
    ]
    return [*items, text(codes.IMPRESSION, phrases.FOOTER)]


def _not_mentioned(draft: DraftReport) -> list[str]:
    """Return sentences for positive findings whose own sentence is not part of the draft text."""
    texts = {clean_text(line) for line in (*draft.findings_text, *draft.impression_text)}
    return [
        phrases.statement(finding)
        for finding in draft.findings
        if phrases.is_positive(finding) and clean_text(finding.sentence or "") not in texts
    ]


def _seen_on(draft: DraftReport, sentence: str) -> list[sr.ContentItem]:
    """Return the image as illustration if `sentence` states a positive finding."""
    positive = any(
        phrases.is_positive(finding) and clean_text(finding.sentence or "") == sentence
        for finding in draft.findings
    )
    return [_illustration(draft)] if positive else []


def _illustration(draft: DraftReport) -> sr.ContentItem:
    return image(codes.BEST_ILLUSTRATION, read_image(draft), Relationship.INFERRED_FROM)
