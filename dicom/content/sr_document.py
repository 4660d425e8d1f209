"""Build content items and documents of all our Structured Reports (PS3.3 C.17.2, C.17.3).

highdicom provides items, templates and documents. This module adds what highdicom lacks: a class for
Basic Text SR, the author, the purpose of a predecessor and the attributes of the order. Nothing here is
specific to one document.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.codes import Code
from dicom.content.highdicom_header import OwnHeader, identity, reference
from dicom.content.patient_study import clean_text, lo, value_of
from dicom.content.report import Predecessor
from dicom.content.result_header import (
    BASIC_TEXT_SR,
    COMPREHENSIVE_3D_SR,
    COMPREHENSIVE_SR,
    SECONDARY_CAPTURE,
    Equipment,
    code_item,
)

Completion = Literal["PARTIAL", "COMPLETE"]
Relationship = sr.RelationshipTypeValues
_Item = TypeVar("_Item", bound=sr.ContentItem)


class BasicTextSR(OwnHeader, sr.EnhancedSR):
    """Basic Text SR, for which highdicom has no class; it is an Enhanced SR without numbers."""


class ComprehensiveSR(OwnHeader, sr.ComprehensiveSR):
    """Comprehensive SR with our header."""


class Comprehensive3DSR(OwnHeader, sr.Comprehensive3DSR):
    """Comprehensive 3D SR with our header."""


_CLASSES: Final = {
    BASIC_TEXT_SR: BasicTextSR,
    COMPREHENSIVE_SR: ComprehensiveSR,
    COMPREHENSIVE_3D_SR: Comprehensive3DSR,
}


def load_tables() -> None:
    """Load highdicom's tables of the Standard in advance; this takes half a second once per process."""
    source_image = sr.SourceImageForRegion(SECONDARY_CAPTURE, "1.2")
    sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, np.zeros((2, 2)), source_image)


def concept(code: Code) -> sr.CodedConcept:
    """Return `code` as highdicom's CodedConcept."""
    return sr.CodedConcept(code.value, code.scheme, code.meaning)


def container(
    name: Code,
    children: Iterable[sr.ContentItem],
    *,
    relationship: Relationship | None = Relationship.CONTAINS,
    template: str | None = None,
) -> sr.ContainerContentItem:
    """Return a CONTAINER item.

    Args:
        name: Its title or heading.
        children: Its content, in order.
        relationship: Relationship to its parent, None for the root.
        template: Identifier of the DCMR template that the content follows.
    """
    item = sr.ContainerContentItem(
        concept(name), template_id=template, relationship_type=relationship
    )
    return _with_children(item, children)


def text(
    name: Code,
    value: str,
    relationship: Relationship = Relationship.CONTAINS,
    *,
    children: Iterable[sr.ContentItem] = (),
) -> sr.TextContentItem:
    """Return a TEXT item; its value becomes one line without control characters."""
    item = sr.TextContentItem(concept(name), clean_text(value), relationship)
    return _with_children(item, children)


def code(
    name: Code,
    value: Code,
    relationship: Relationship = Relationship.CONTAINS,
    *,
    children: Iterable[sr.ContentItem] = (),
) -> sr.CodeContentItem:
    """Return a CODE item."""
    item = sr.CodeContentItem(concept(name), concept(value), relationship)
    return _with_children(item, children)


def image(
    name: Code,
    referenced: Dataset,
    relationship: Relationship,
    *,
    children: Iterable[sr.ContentItem] = (),
) -> sr.ImageContentItem:
    """Return an IMAGE item for `referenced`, from `highdicom_header.reference`."""
    item = sr.ImageContentItem(
        concept(name),
        referenced.SOPClassUID,
        referenced.SOPInstanceUID,
        relationship_type=relationship,
    )
    return _with_children(item, children)


def _with_children(item: _Item, children: Iterable[sr.ContentItem]) -> _Item:
    nested = list(children)
    if nested:
        item.ContentSequence = sr.ContentSequence(nested)
    return item


def language() -> sr.LanguageOfContentItemAndDescendants:
    """Return the language row (TID 1204)."""
    return sr.LanguageOfContentItemAndDescendants(concept(codes.ENGLISH_US))


def device_observer(equipment: Equipment, *model: str) -> sr.ObserverContext:
    """Return the observer context of this installation as a device (TID 1001, 1002, 1004).

    Args:
        equipment: This installation.
        model: Name and description of the model, if a model made the observation.
    """
    name, software = model or (equipment.model_name, "")
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=equipment.device_uid,
        name=clean_text(name),
        manufacturer_name=clean_text(equipment.manufacturer),
        model_name=clean_text("; ".join(filter(None, (equipment.name_and_version, software)))),
        serial_number=clean_text(equipment.device_serial_number) or None,
    )
    return sr.ObserverContext(concept(codes.DEVICE), device)


def person_observer(name: str, organization: str) -> sr.ObserverContext:
    """Return the observer context of a person (TID 1001, 1002, 1003); `name` is a PN value."""
    person = sr.PersonObserverIdentifyingAttributes(
        name=name, organization_name=clean_text(organization)
    )
    return sr.ObserverContext(concept(codes.PERSON), person)


def diagnostic_report(
    procedure: Code, observer: sr.ObserverContext, sections: Iterable[sr.ContentItem]
) -> sr.ContainerContentItem:
    """Return the content tree of a Diagnostic Imaging Report (TID 2000)."""
    reported = code(codes.PROCEDURE_REPORTED, procedure, Relationship.HAS_CONCEPT_MOD)
    return container(
        codes.DIAGNOSTIC_IMAGING_REPORT,
        [reported, *language(), *observer, *sections],
        relationship=None,
        template="2000",
    )


def section(heading: Code, element: Code, lines: Iterable[str]) -> sr.ContainerContentItem:
    """Return a section with one TEXT item of concept `element` per line."""
    return container(heading, [text(element, line) for line in lines])


def report_document(
    header: Dataset,
    source: Dataset,
    root: Dataset,
    *,
    author: Dataset,
    evidence: Sequence[Dataset],
    predecessor: Predecessor | None = None,
    purpose: Code = codes.PRELIMINARY_REPORT,
    description: str = "",
    **flags: Any,  # noqa: ANN401 - arguments of highdicom's classes
) -> Dataset:
    """Return the SR made of a header and a content tree.

    Args:
        header: From `result_header.new_object`; its SOP Class decides the class of the document.
        source: Header of an image of the study, for the order.
        root: The CONTAINER at the root of the content tree; its Content Sequence is moved away.
        author: An item of Author Observer Sequence.
        evidence: Every object that the tree references, from `highdicom_header.reference`.
        predecessor: The earlier document that this one supersedes or is about.
        purpose: What the earlier document is to this one (PS3.16 CID 7009).
        description: Completion Flag Description, or "" for none.
        flags: is_complete, is_final, is_verified and the verifier, arguments of highdicom's classes.
            Without them the document is PARTIAL, PRELIMINARY and UNVERIFIED.
    """
    # highdicom copies and searches the whole tree several times, 60 ms for 100 items, for checks that
    # our validation makes too. Therefore it gets the root alone, and the content is added afterwards.
    children, root.ContentSequence = root.ContentSequence, sr.ContentSequence()
    earlier = [_predecessor(header, predecessor)] if predecessor else []
    request = _request(header, source)
    document: Dataset = _CLASSES[header.SOPClassUID](
        # highdicom takes the study from the first object and requires at least one.
        evidence=evidence or [_study(header)],
        content=root,
        previous_versions=earlier or None,
        requested_procedures=[request] if request else None,
        **identity(header),
        **flags,
    )
    if not evidence:
        del document.CurrentRequestedProcedureEvidenceSequence
    for study in document.get("PredecessorDocumentsSequence", []):
        item = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        item.PurposeOfReferenceCodeSequence = [code_item(purpose)]
    document.update(header)
    if description:
        document.CompletionFlagDescription = lo(description)
    document.AuthorObserverSequence = [author]
    document.ContentSequence = children
    return document


def order_of(source: Dataset) -> Dataset:
    """Return a copy of the first item of Request Attributes Sequence, or an empty data set."""
    items = value_of(source, "RequestAttributesSequence")
    return items[0] if items else Dataset()


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


def _study(header: Dataset) -> Dataset:
    return reference(header.StudyInstanceUID, "", sop_class_uid="", sop_instance_uid="")


def _predecessor(header: Dataset, predecessor: Predecessor) -> Dataset:
    return reference(
        header.StudyInstanceUID,
        predecessor.series_instance_uid,
        sop_class_uid=predecessor.sop_class_uid,
        sop_instance_uid=predecessor.sop_instance_uid,
    )


def _request(header: Dataset, source: Dataset) -> Dataset | None:
    """Return the order of the image as a Referenced Request Sequence item, or None without an order."""
    order = order_of(source)
    accession = header.AccessionNumber
    if not accession and not len(order):
        return None
    item = Dataset()
    item.AccessionNumber = accession
    item.ReferencedStudySequence = []
    item.StudyInstanceUID = header.StudyInstanceUID
    item.RequestedProcedureDescription = order.get("RequestedProcedureDescription", "")
    item.RequestedProcedureCodeSequence = list(order.get("RequestedProcedureCodeSequence", []))
    item.RequestedProcedureID = order.get("RequestedProcedureID", "")
    for keyword in (
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
    ):
        setattr(item, keyword, value_of(source, keyword) or "")
    return item
