"""Content items and the header that all our Structured Reports share (PS3.3 C.17.2, C.17.3).

The items are built directly: each function returns one item of a Content Sequence, whose
relationship to its parent is an argument. Nothing here knows a template.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from dicom.codes import (
    DEVICE,
    DEVICE_MANUFACTURER,
    DEVICE_MODEL_NAME,
    DEVICE_NAME,
    DEVICE_SERIAL_NUMBER,
    DEVICE_UID,
    ENGLISH_US,
    LANGUAGE,
    OBSERVER_TYPE,
    PERSON,
    PERSON_NAME,
    PERSON_ORGANIZATION,
    PRELIMINARY_REPORT,
    Code,
)
from dicom.patient_study import clean_text, lo, value_of
from dicom.report import DraftReport, Predecessor
from dicom.result_header import Equipment, code_item

Relationship = Literal[
    "CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS PROPERTIES",
    "INFERRED FROM", "SELECTED FROM",
]  # fmt: skip
Completion = Literal["PARTIAL", "COMPLETE"]

_RELATIONSHIP: Final = Tag("RelationshipType")
_VALUE_TYPE: Final = Tag("ValueType")
_NAME: Final = Tag("ConceptNameCodeSequence")
_CONTENT: Final = Tag("ContentSequence")


def _element(tag: BaseTag, vr: str, value: object) -> DataElement:
    # The values are ours and checked; going around the conversion halves the time of a document.
    return DataElement(tag, vr, value, already_converted=True)


def _item(
    value_type: str, name: Code, relationship: str, children: Iterable[Dataset] = ()
) -> Dataset:
    item = Dataset()
    item[_RELATIONSHIP] = _element(_RELATIONSHIP, "CS", relationship)
    item[_VALUE_TYPE] = _element(_VALUE_TYPE, "CS", value_type)
    item[_NAME] = _element(_NAME, "SQ", Sequence([code_item(name)]))
    nested = list(children)
    if nested:
        item[_CONTENT] = _element(_CONTENT, "SQ", Sequence(nested))
    return item


def container(
    name: Code,
    children: Iterable[Dataset],
    relationship: Relationship = "CONTAINS",
    template: str | None = None,
) -> Dataset:
    """Return a CONTAINER; `template` is the DCMR template identifier that its content follows."""
    item = _item("CONTAINER", name, relationship, children)
    item.ContinuityOfContent = "CONTINUOUS"
    if template:
        item.ContentTemplateSequence = [_template(template)]
    return item


def text(
    name: Code, value: str, relationship: Relationship = "CONTAINS", *children: Dataset
) -> Dataset:
    """Return a TEXT item; its value is on one line and free of control characters."""
    item = _item("TEXT", name, relationship, children)
    item.TextValue = clean_text(value)
    return item


def code(
    name: Code, value: Code, relationship: Relationship = "CONTAINS", *children: Dataset
) -> Dataset:
    """Return a CODE item."""
    item = _item("CODE", name, relationship, children)
    item.ConceptCodeSequence = [code_item(value)]
    return item


def uidref(name: Code, value: str, relationship: Relationship) -> Dataset:
    """Return a UIDREF item."""
    item = _item("UIDREF", name, relationship)
    item.UID = value
    return item


def num(name: Code, value: str, unit: Code, relationship: Relationship = "CONTAINS") -> Dataset:
    """Return a NUM item; `value` is the decimal string to be written."""
    item = _item("NUM", name, relationship)
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = [code_item(unit)]
    item.MeasuredValueSequence = [measured]
    return item


def image(name: Code, reference: Dataset, relationship: Relationship) -> Dataset:
    """Return an IMAGE item for `reference`, an item of a Referenced SOP Sequence."""
    item = _item("IMAGE", name, relationship)
    item.ReferencedSOPSequence = [reference]
    return item


def polyline(name: Code, points: Iterable[tuple[float, float]], *children: Dataset) -> Dataset:
    """Return a SCOORD of (column, row) pairs in the matrix of the image among `children`."""
    item = _item("SCOORD", name, "CONTAINS", children)
    item.GraphicData = [coordinate for point in points for coordinate in point]
    item.GraphicType = "POLYLINE"
    return item


def source_reference(draft: DraftReport) -> Dataset:
    """Return the Referenced SOP Sequence item of the film that was read."""
    return sop_reference(draft.source.sop_class_uid, draft.source.sop_instance_uid)


def sop_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return an item of a Referenced SOP Sequence."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    return reference


def language() -> Dataset:
    """Return the language row that TID 1204 asks for."""
    return code(LANGUAGE, ENGLISH_US, "HAS CONCEPT MOD")


def device_observer(equipment: Equipment, *model: str) -> list[Dataset]:
    """Return who observed: this installation (TID 1001, 1002, 1004).

    Args:
        equipment: This installation.
        model: Name, and all that identifies it for people, of the model in it when one observed.
    """
    context: Relationship = "HAS OBS CONTEXT"
    name, words = model or (equipment.model_name, "")
    items = [
        code(OBSERVER_TYPE, DEVICE, context),
        uidref(DEVICE_UID, equipment.device_uid, context),
        text(DEVICE_NAME, name, context),
        text(DEVICE_MANUFACTURER, equipment.manufacturer, context),
        text(DEVICE_MODEL_NAME, "; ".join(filter(None, (equipment.words, words))), context),
    ]
    if equipment.device_serial_number:
        items.append(text(DEVICE_SERIAL_NUMBER, equipment.device_serial_number, context))
    return items


def person_observer(name: str, organization: str) -> list[Dataset]:
    """Return who observed: a person (TID 1001, 1002, 1003); `name` is a PN value."""
    context: Relationship = "HAS OBS CONTEXT"
    named = _item("PNAME", PERSON_NAME, context)
    named.PersonName = name
    return [
        code(OBSERVER_TYPE, PERSON, context),
        named,
        text(PERSON_ORGANIZATION, organization, context),
    ]


def write_root(document: Dataset, title: Code, template: str, children: Iterable[Dataset]) -> None:
    """Put the content tree into `document`, whose data set is the root CONTAINER itself."""
    document.ValueType = "CONTAINER"
    document.ConceptNameCodeSequence = [code_item(title)]
    document.ContinuityOfContent = "CONTINUOUS"
    document.ContentTemplateSequence = [_template(template)]
    document.ContentSequence = list(children)


def write_document_modules(
    document: Dataset, source: Dataset, author: Dataset, evidence: Iterable[Dataset]
) -> None:
    """Put SR Document Series and SR Document General into `document` (PS3.3 C.17.1, C.17.2).

    Args:
        document: Has the header already; gets its flags from `write_draft_flags`.
        source: Header of a film, for the order.
        author: An item of Author Observer Sequence.
        evidence: Items of Current Requested Procedure Evidence Sequence: every image of the tree.
    """
    document.Modality = "SR"
    document.ReferencedPerformedProcedureStepSequence = []
    document.PerformedProcedureCodeSequence = []
    document.AuthorObserverSequence = [author]
    listed = list(evidence)
    if listed:
        document.CurrentRequestedProcedureEvidenceSequence = listed
    request = _request(document, source)
    if request is not None:
        document.ReferencedRequestSequence = [request]


def write_draft_flags(document: Dataset, completion: Completion, description: str) -> None:
    """Say PRELIMINARY and UNVERIFIED; `outputs.encode` lets nothing else out."""
    document.PreliminaryFlag = "PRELIMINARY"
    document.CompletionFlag = completion
    document.CompletionFlagDescription = lo(description)
    document.VerificationFlag = "UNVERIFIED"


def write_predecessor(document: Dataset, study_uid: str, predecessor: Predecessor) -> None:
    """Name the earlier draft that `document` supersedes (PS3.3 C.17.2)."""
    reference = sop_reference(predecessor.sop_class_uid, predecessor.sop_instance_uid)
    reference.PurposeOfReferenceCodeSequence = [code_item(PRELIMINARY_REPORT)]
    document.PredecessorDocumentsSequence = [
        evidence(study_uid, {predecessor.series_instance_uid: [reference]})
    ]


def order_of(source: Dataset) -> Dataset:
    """Return the first item of Request Attributes Sequence, copied, or an empty data set."""
    items = value_of(source, "RequestAttributesSequence")
    return items[0] if items else Dataset()


def _template(identifier: str) -> Dataset:
    item = Dataset()
    item.MappingResource = "DCMR"
    item.TemplateIdentifier = identifier
    return item


def device_author(equipment: Equipment) -> Dataset:
    """Return this installation as an item of Author Observer Sequence."""
    item = Dataset()
    item.ObserverType = "DEV"
    item.StationName = clean_text(equipment.station_name, 16)
    item.DeviceUID = equipment.device_uid
    item.Manufacturer = lo(equipment.manufacturer)
    item.ManufacturerModelName = lo(equipment.model_name)
    item.InstitutionName = lo(equipment.institution_name)
    item.InstitutionCodeSequence = []
    return item


def film_evidence(draft: DraftReport) -> list[Dataset]:
    """Return the evidence of a draft: the one film that was read."""
    reference = source_reference(draft)
    return [evidence(draft.study_instance_uid, {draft.source.series_instance_uid: [reference]})]


def evidence(study_uid: str, references: Mapping[str, list[Dataset]]) -> Dataset:
    """Return one study's item of an evidence or predecessor sequence (PS3.3 C.17.2.1, table 10-4).

    Args:
        study_uid: The study.
        references: Items of Referenced SOP Sequence by Series Instance UID.
    """
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = []
    for series_uid, items in references.items():
        series = Dataset()
        series.ReferencedSOPSequence = items
        series.SeriesInstanceUID = series_uid
        study.ReferencedSeriesSequence.append(series)
    return study


def _request(document: Dataset, source: Dataset) -> Dataset | None:
    """Return the order that the film answers, or None when the film names none."""
    order = order_of(source)
    accession = document.AccessionNumber
    if not accession and not len(order):
        return None
    item = Dataset()
    item.AccessionNumber = accession
    item.ReferencedStudySequence = []
    item.StudyInstanceUID = document.StudyInstanceUID
    item.RequestedProcedureDescription = order.get("RequestedProcedureDescription", "")
    item.RequestedProcedureCodeSequence = list(order.get("RequestedProcedureCodeSequence", []))
    item.RequestedProcedureID = order.get("RequestedProcedureID", "")
    for keyword in (
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
    ):
        setattr(item, keyword, value_of(source, keyword) or "")
    return item
