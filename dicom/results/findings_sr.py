"""The findings as a Comprehensive SR that follows TID 1500.

A finding with a region becomes a TID 1410 group. Every other stated finding, present or absent,
becomes a qualitative evaluation. OHIF 3.12 and 3.13 crash on a Measurement Group without coordinates,
and on a report of this title without any group. Therefore a group is written only with its region; if
no finding has one, a group "Selected region" outlines the whole image as the analyzed region.
"""

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset

from dicom.content import codes, phrases
from dicom.content.highdicom_header import read_image
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import clean_text, value_of
from dicom.content.regions import Points, whole_image, with_polygons
from dicom.content.report import STATED, DraftReport, Finding, Observation, Presence
from dicom.content.result_header import Equipment, model_text, new_result, tracking_uid
from dicom.content.sr_document import (
    Relationship,
    code,
    concept,
    container,
    device_author,
    device_observer,
    image,
    language,
    report_document,
    text,
)


def findings_report(
    draft: DraftReport, source: Dataset, equipment: Equipment, *, in_3d: bool = False
) -> Dataset:
    """Return the Comprehensive SR of the findings of `draft`.

    The document is COMPLETE, because the computation is, and UNVERIFIED.

    Args:
        draft: The draft whose findings are written.
        source: Header of the image that was read.
        equipment: This installation, the device observer.
        in_3d: Write the same tree as Comprehensive 3D SR, for sites that follow IHE AI Results.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: A region has a coordinate that is not a number.
    """
    kind = OutputKind.FINDINGS_3D if in_3d else OutputKind.FINDINGS
    placed = with_polygons(draft.findings, draft.source)
    observer = device_observer(equipment, draft.model.name, model_text(draft))
    (root,) = sr.MeasurementReport(
        sr.ObservationContext(observer_device_context=observer),
        concept(codes.IMAGING_PROCEDURE),
        _groups(draft, equipment, placed),
        language_of_content_item_and_descendants=language(),
    )
    # highdicom's Image Library requires image attributes that a radiograph may lack.
    root.ContentSequence.insert(-1, _image_library(draft, source))
    evaluations = _evaluations(draft, [finding for finding, _ in placed])
    if evaluations:
        # Row 12 of TID 1500, for which highdicom has no argument.
        root.ContentSequence.append(container(codes.QUALITATIVE_EVALUATIONS, evaluations))
    return report_document(
        new_result(draft, source, equipment, kind=kind),
        source,
        root,
        author=device_author(equipment),
        evidence=[read_image(draft)],
        description="AI-generated findings, not verified",
        is_complete=True,
    )


def _image_library(draft: DraftReport, source: Dataset) -> sr.ContentItem:
    """Return the Image Library (TID 1600) with the one image, and its modality if that has a code."""
    coded = codes.MODALITY_CODES.get(value_of(source, "Modality") or "")
    modality = [code(codes.MODALITY, coded, Relationship.HAS_ACQ_CONTEXT)] if coded else []
    entry = image(codes.SOURCE, read_image(draft), Relationship.CONTAINS, children=modality)
    return container(codes.IMAGE_LIBRARY, [container(codes.IMAGE_LIBRARY_GROUP, [entry])])


def _groups(
    draft: DraftReport, equipment: Equipment, placed: list[tuple[Finding, Points]]
) -> list[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    if not placed:
        return [_analyzed_region(draft, equipment)]
    return [
        _group(draft, equipment, number, finding, points)
        for number, (finding, points) in enumerate(placed, start=1)
    ]


def _group(
    draft: DraftReport, equipment: Equipment, number: int, finding: Finding, points: Points
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return the Measurement Group of one located finding (TID 1410)."""
    coded = codes.FINDING_CODES.get(finding.observation)
    presence = codes.PRESENCE_CODES.get(finding.presence)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        _tracking(draft, equipment, f"{number} {finding.observation.value}"),
        referenced_region=_region(draft, points),
        finding_type=concept(coded) if coded else None,
        algorithm_id=_algorithm(draft),
        finding_sites=_sites(finding),
        measurements=_certainty(finding),
        qualitative_evaluations=[
            sr.QualitativeEvaluation(concept(codes.PRESENCE), concept(presence))
        ]
        if presence
        else None,
    )


def _analyzed_region(
    draft: DraftReport, equipment: Equipment
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        _tracking(draft, equipment, "analyzed region"),
        referenced_region=_region(draft, whole_image(draft.source)),
        finding_type=concept(codes.SELECTED_REGION),
        algorithm_id=_algorithm(draft),
    )


def _tracking(draft: DraftReport, equipment: Equipment, what: str) -> sr.TrackingIdentifier:
    uid = tracking_uid(draft, equipment, what)
    return sr.TrackingIdentifier(uid, clean_text(f"{equipment.model_name} {what}"))


def _sites(finding: Finding) -> list[sr.FindingSite]:
    """Return the organ of the finding, with its side if the draft states one."""
    site = codes.FINDING_SITES.get(finding.observation)
    if site is None:
        return []
    # The heart has no laterality, even if the text of a draft names a side.
    side = codes.SIDE_CODES[finding.side] if finding.side and site != codes.HEART else None
    return [sr.FindingSite(concept(site), concept(side) if side else None)]


def _algorithm(draft: DraftReport) -> sr.AlgorithmIdentification:
    """Return the model as the algorithm that made the finding (TID 4019)."""
    model = draft.model
    parameters = [
        f"Weights SHA-256: {model.weights_sha256}" if model.weights_sha256 else "",
        f"Decoding: {model.decoding}" if model.decoding else "",
        f"Prompt: {model.prompt}" if model.prompt else "",
        f"License: {model.licence}" if model.licence else "",
        f"Intended use: {model.intended_use}" if model.intended_use else "",
        phrases.score_meaning(draft),
        phrases.caveat(draft),
    ]
    return sr.AlgorithmIdentification(
        clean_text(model.name),
        clean_text(model.version) or "unknown",
        parameters=[clean_text(line) for line in parameters if line],
        family=concept(codes.ARTIFICIAL_INTELLIGENCE),
    )


def _certainty(finding: Finding) -> list[sr.Measurement]:
    """Return the score of a finding in percent, or an empty list without a score (TID 300)."""
    if finding.score is None:
        return []
    percent = phrases.percent(finding.score)
    measurement = sr.Measurement(concept(codes.CERTAINTY), percent, concept(codes.PERCENT))
    # highdicom writes 90 as "90.0", which claims a precision that the score does not have.
    measurement[0].MeasuredValueSequence[0].NumericValue = str(percent)
    return [measurement]


def _region(draft: DraftReport, points: Points) -> sr.ImageRegion:
    source = draft.source
    selected = sr.SourceImageForRegion(source.sop_class_uid, source.sop_instance_uid)
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, np.array(points, np.float64), selected)


def _evaluations(draft: DraftReport, placed: list[Finding]) -> list[sr.ContentItem]:
    """Return each finding without a region as a sentence and, if it has a code, as a CODE item."""
    if uncoded := phrases.uncoded(draft):
        return [text(codes.FINDING, uncoded)]
    mentioned = [
        finding for finding in draft.findings if finding not in placed and _is_mentioned(finding)
    ]
    return [item for finding in mentioned for item in _evaluation(draft, finding)]


def _is_mentioned(finding: Finding) -> bool:
    """Return whether the draft states `finding`.

    An absent "no finding" is not written: the findings themselves state it.
    """
    if finding.observation is Observation.NO_FINDING:
        return finding.presence is Presence.PRESENT
    return finding.presence in STATED


def _evaluation(draft: DraftReport, finding: Finding) -> list[sr.ContentItem]:
    # Many viewers show the value of a code without its concept name; "Absent" alone means nothing.
    sentence = text(codes.FINDING, phrases.statement(finding))
    coded = codes.FINDING_CODES.get(finding.observation)
    if coded is None:
        return [sentence]
    certainty = [row for measurement in _certainty(finding) for row in measurement]
    for row in certainty:
        row.RelationshipType = Relationship.HAS_PROPERTIES.value
    seen = image(codes.SOURCE_OF_MEASUREMENT, read_image(draft), Relationship.INFERRED_FROM)
    presence = codes.PRESENCE_CODES[finding.presence]
    return [sentence, code(coded, presence, children=[*certainty, seen])]
