"""The findings as a Comprehensive SR after TID 1500.

A finding with a region becomes a TID 1410 group; everything else, and all that is absent, a
qualitative evaluation. OHIF 3.12 and 3.13 crash on a Measurement Group without coordinates, and on a
report of this title without any group: a group is therefore written only with its region, and when no
finding has one, a group "Selected region" names the whole film as what was analysed.
"""

from typing import Final

from pydicom.dataset import Dataset

from dicom import codes, wording
from dicom.patient_study import clean_text, value_of
from dicom.regions import Points, located, whole_image
from dicom.report import STATED, DraftReport, Finding, Observation, Presence
from dicom.result_header import Equipment, OutputKind, model_words, new_result, tracking_uid
from dicom.sr_document import (
    Relationship,
    code,
    container,
    device_author,
    device_observer,
    film_evidence,
    image,
    language,
    num,
    polyline,
    source_reference,
    text,
    uidref,
    write_document_modules,
    write_draft_flags,
    write_root,
)

COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"


def findings_report(
    draft: DraftReport, source: Dataset, equipment: Equipment, *, in_3d: bool = False
) -> Dataset:
    """Return the Comprehensive SR of the findings of `draft`.

    It is COMPLETE as a computation and UNVERIFIED as a statement.

    Args:
        draft: What the model wrote.
        source: Header of the film that was read.
        equipment: This installation, the device observer.
        in_3d: The same tree as Comprehensive 3D SR, for sites that follow IHE AI Results.

    Raises:
        DatasetMismatch: `source` is not the film of the draft.
        InvalidDataset: It lacks what a result needs.
        InvalidOutput: A region has a coordinate that is not a number.
    """
    kind: OutputKind = "findings-3d" if in_3d else "findings"
    sop_class = COMPREHENSIVE_3D_SR if in_3d else COMPREHENSIVE_SR
    document = new_result(draft, source, equipment, kind=kind, sop_class_uid=sop_class)
    description = "AI-generated findings, not verified"
    write_document_modules(document, source, device_author(equipment), film_evidence(draft))
    write_draft_flags(document, "COMPLETE", description)
    placed = located(draft.findings, draft.source)
    children = [
        language(),
        *device_observer(equipment, draft.model.name, model_words(draft)),
        code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, "HAS CONCEPT MOD"),
        _image_library(draft, source),
        container(codes.IMAGING_MEASUREMENTS, _groups(draft, equipment, placed)),
    ]
    evaluations = _evaluations(draft, [finding for finding, _ in placed])
    if evaluations:
        children.append(container(codes.QUALITATIVE_EVALUATIONS, evaluations))
    write_root(document, codes.IMAGING_MEASUREMENT_REPORT, "1500", children)
    return document


def _image_library(draft: DraftReport, source: Dataset) -> Dataset:
    """Return the Image Library (TID 1600) with the one film, and its modality when that has a code."""
    entry = image(codes.SOURCE, source_reference(draft), "CONTAINS")
    modality = codes.MODALITY_CODES.get(value_of(source, "Modality") or "")
    if modality:
        entry.ContentSequence = [code(codes.MODALITY, modality, "HAS ACQ CONTEXT")]
    return container(codes.IMAGE_LIBRARY, [container(codes.IMAGE_LIBRARY_GROUP, [entry])])


def _groups(
    draft: DraftReport, equipment: Equipment, placed: list[tuple[Finding, Points]]
) -> list[Dataset]:
    if not placed:
        return [_analysed_region(draft, equipment)]
    return [
        _group(draft, equipment, number, finding, points)
        for number, (finding, points) in enumerate(placed, start=1)
    ]


def _group(
    draft: DraftReport, equipment: Equipment, number: int, finding: Finding, points: Points
) -> Dataset:
    """Return one located finding (TID 1410)."""
    rows = _tracking(draft, equipment, f"{number} {finding.observation.value}")
    coded = codes.FINDING_CODES.get(finding.observation)
    if coded:
        rows.append(code(codes.FINDING, coded))
    rows.extend(_site(finding))
    rows.extend(_algorithm(draft))
    if finding.score is not None:
        rows.append(num(codes.CERTAINTY, str(wording.percent(finding.score)), codes.PERCENT))
    presence = codes.PRESENCE_CODES.get(finding.presence)
    if presence:
        rows.append(code(codes.PRESENCE, presence))
    rows.append(_region(draft, points))
    return container(codes.MEASUREMENT_GROUP, rows, template="1410")


def _analysed_region(draft: DraftReport, equipment: Equipment) -> Dataset:
    rows = [
        *_tracking(draft, equipment, "analysed region"),
        code(codes.FINDING, codes.SELECTED_REGION),
        *_algorithm(draft),
        _region(draft, whole_image(draft.source)),
    ]
    return container(codes.MEASUREMENT_GROUP, rows, template="1410")


def _tracking(draft: DraftReport, equipment: Equipment, what: str) -> list[Dataset]:
    uid = tracking_uid(draft, equipment, what)
    return [
        text(codes.TRACKING_IDENTIFIER, f"{equipment.model_name} {what}", "HAS OBS CONTEXT"),
        uidref(codes.TRACKING_UID, uid, "HAS OBS CONTEXT"),
    ]


def _site(finding: Finding) -> list[Dataset]:
    """Return the organ the finding is in, with its side where the draft says one."""
    site = codes.FINDING_SITES.get(finding.observation)
    if site is None:
        return []
    side = codes.SIDE_CODES[finding.side] if finding.side else None
    # A heart has no side, and neither has a mediastinum.
    children = (
        [code(codes.LATERALITY, side, "HAS CONCEPT MOD")] if side and site != codes.HEART else []
    )
    return [code(codes.FINDING_SITE, site, "HAS CONCEPT MOD", *children)]


def _algorithm(draft: DraftReport) -> list[Dataset]:
    """Return which algorithm said so (TID 4019)."""
    model = draft.model
    parameters = [
        f"Weights SHA-256: {model.weights_sha256}" if model.weights_sha256 else "",
        f"Decoding: {model.decoding}" if model.decoding else "",
        f"Prompt: {model.prompt}" if model.prompt else "",
        "Certainty is the model's own score, not calibrated.",
        wording.caveat(draft),
    ]
    modifier: Relationship = "HAS CONCEPT MOD"
    return [
        text(codes.ALGORITHM_NAME, model.name, modifier),
        text(codes.ALGORITHM_VERSION, model.version or "unknown", modifier),
        *(text(codes.ALGORITHM_PARAMETERS, line, modifier) for line in parameters if line),
        code(codes.ALGORITHM_FAMILY, codes.ARTIFICIAL_INTELLIGENCE, modifier),
    ]


def _region(draft: DraftReport, points: Points) -> Dataset:
    selected = image(codes.SOURCE, source_reference(draft), "SELECTED FROM")
    return polyline(codes.IMAGE_REGION, points, selected)


def _evaluations(draft: DraftReport, placed: list[Finding]) -> list[Dataset]:
    """Return what has no region: coded where the table has a code, else as a sentence."""
    if uncoded := wording.uncoded(draft):
        return [text(codes.FINDING, clean_text(uncoded))]
    return [
        _evaluation(draft, finding)
        for finding in draft.findings
        if finding not in placed and _is_said(finding)
    ]


def _is_said(finding: Finding) -> bool:
    """Whether the draft says something; that "no finding" is absent is said by the findings."""
    if finding.observation is Observation.NO_FINDING:
        return finding.presence is Presence.PRESENT
    return finding.presence in STATED


def _evaluation(draft: DraftReport, finding: Finding) -> Dataset:
    coded = codes.FINDING_CODES.get(finding.observation)
    if coded is None:
        return text(codes.FINDING, clean_text(wording.statement(finding)))
    children = []
    if finding.score is not None:
        value = str(wording.percent(finding.score))
        children.append(num(codes.CERTAINTY, value, codes.PERCENT, "HAS PROPERTIES"))
    children.append(image(codes.SOURCE_OF_MEASUREMENT, source_reference(draft), "INFERRED FROM"))
    return code(coded, codes.PRESENCE_CODES[finding.presence], "CONTAINS", *children)
