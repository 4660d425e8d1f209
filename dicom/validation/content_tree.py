"""Validation rules for content trees: templates, codes, evidence, coordinates, crashes of viewers."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.codes import Code
from dicom.validation.codes import Pair, code_faults

_MAX_ITEMS: Final = 10_000
_TEMPLATES: Final = {
    codes.DIAGNOSTIC_IMAGING_REPORT.value: "2000",
    codes.IMAGING_MEASUREMENT_REPORT.value: "1500",
}
# No numbers and no coordinates in a Basic Text SR (PS3.3 A.35.1.3).
_BASIC_TEXT: Final = frozenset(
    {"TEXT", "CODE", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME", "COMPOSITE", "IMAGE"}
    | {"WAVEFORM", "CONTAINER"}
)
_VALUE_OF_TYPE: Final = {
    "TEXT": "TextValue",
    "CODE": "ConceptCodeSequence",
    "UIDREF": "UID",
    "NUM": "MeasuredValueSequence",
    "IMAGE": "ReferencedSOPSequence",
    "SCOORD": "GraphicData",
}


def tree_faults(document: Dataset, kind: str, matrix: tuple[int, int] | None) -> Iterator[Pair]:
    """Yield every fault of the content tree of `document`.

    Args:
        document: The whole SR; its data set is the root CONTAINER.
        kind: Name of its SOP Class, for example "Basic Text SR".
        matrix: (rows, columns) of the image that the document is about, if known.
    """
    items = list(_walk(document))
    if len(items) > _MAX_ITEMS:
        yield "size", f"the tree has more than {_MAX_ITEMS} items"
    title = _name(document)
    yield from _template_faults(document, title)
    yield from _context_faults(document)
    yield from _evidence_faults(document, items)
    for item in items:
        yield from _item_faults(item, kind)
        if item.get("ValueType") == "SCOORD":
            yield from _coordinate_faults(item, matrix)
    if title == codes.IMAGING_MEASUREMENT_REPORT.value:
        yield from _measurement_faults(document, items)
    yield from code_faults(document)


def _walk(node: Dataset) -> Iterator[Dataset]:
    """Yield at most `_MAX_ITEMS` + 1 items of a tree, in no fixed order.

    It does not recurse, because another vendor's tree may be deep.
    """
    waiting = list(node.get("ContentSequence", []))
    count = 0
    while waiting and count <= _MAX_ITEMS:
        item = waiting.pop()
        count += 1
        yield item
        waiting.extend(item.get("ContentSequence", []))


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _value(item: Dataset) -> str:
    values = item.get("ConceptCodeSequence")
    return str(values[0].get("CodeValue", "")) if values else ""


def _has(items: list[Dataset], code: Code) -> bool:
    return any(_name(item) == code.value for item in items)


def _template_faults(document: Dataset, title: str) -> Iterator[Pair]:
    stated = document.get("ContentTemplateSequence")
    if not stated:
        yield "template", "the root has no template (ContentTemplateSequence)"
        return
    expected = _TEMPLATES.get(title)
    found = str(stated[0].get("TemplateIdentifier", ""))
    if expected and found != expected:
        yield "template", f"a document of this title follows TID {expected}, not {found[:16]!a}"


def _context_faults(document: Dataset) -> Iterator[Pair]:
    """Yield a fault for missing rows of TID 1204 and of TID 1001 with 1002, 1003 and 1004."""
    top = list(document.get("ContentSequence", []))
    if not _has(top, codes.LANGUAGE):
        yield "language", "the language of the document is missing (TID 1204)"
    observers = {_value(item) for item in top if _name(item) == codes.OBSERVER_TYPE.value}
    if codes.DEVICE.value in observers and not _has(top, codes.DEVICE_UID):
        yield "observer", "the device observer has no UID (TID 1004)"
    if codes.PERSON.value in observers and not _has(top, codes.PERSON_NAME):
        yield "observer", "the person observer has no name (TID 1003)"


def _measurement_faults(document: Dataset, items: list[Dataset]) -> Iterator[Pair]:
    """Yield a fault for missing rows of TID 1500, 1410 and 4019, and for what makes viewers crash."""
    if not _has(list(document.get("ContentSequence", [])), codes.PROCEDURE_REPORTED):
        yield "template", "the procedure reported is missing (TID 1500)"
    yield from _group_faults(items)
    for node in items:
        rows = list(node.get("ContentSequence", []))
        if _has(rows, codes.ALGORITHM_NAME) != _has(rows, codes.ALGORITHM_VERSION):
            yield "algorithm", "an algorithm lacks its name or version (TID 4019)"


def _evidence_faults(document: Dataset, items: list[Dataset]) -> Iterator[Pair]:
    listed = {
        str(reference.get("ReferencedSOPInstanceUID", ""))
        for keyword in (
            "CurrentRequestedProcedureEvidenceSequence",
            "PertinentOtherEvidenceSequence",
        )
        for study in document.get(keyword) or ()
        for series in study.get("ReferencedSeriesSequence", [])
        for reference in series.get("ReferencedSOPSequence", [])
    }
    used = {
        str(reference.get("ReferencedSOPInstanceUID", ""))
        for item in items
        for reference in item.get("ReferencedSOPSequence", [])
    }
    if not used <= listed:
        yield "evidence", f"{len(used - listed)} referenced object(s) are not in the evidence"


def _item_faults(item: Dataset, kind: str) -> Iterator[Pair]:
    value_type = str(item.get("ValueType", ""))
    if not item.get("RelationshipType"):
        yield "item", f"an item of type {value_type or 'unknown'} has no relationship"
    if kind == "Basic Text SR" and value_type not in _BASIC_TEXT:
        yield "value-type", f"{value_type} may not occur in a Basic Text SR"
    needed = _VALUE_OF_TYPE.get(value_type)
    if needed and not item.get(needed):
        yield "item", f"an item of type {value_type} has no {needed}"
    if value_type not in ("IMAGE", "COMPOSITE", "CONTAINER", "SCOORD") and not _name(item):
        yield "item", f"an item of type {value_type} has no concept name"


def _coordinate_faults(item: Dataset, matrix: tuple[int, int] | None) -> Iterator[Pair]:
    children = item.get("ContentSequence", [])
    if not any(child.get("ValueType") == "IMAGE" for child in children):
        yield "coordinates", "a SCOORD without an image"
    yield from point_faults(item, matrix)


def point_faults(item: Dataset, matrix: tuple[int, int] | None) -> Iterator[Pair]:
    """Yield every fault of the Graphic Data of `item`; limits are checked if `matrix` is known.

    Args:
        item: An item with Graphic Data and Graphic Type, 2D, in pixel units.
        matrix: (rows, columns) of the image, or None.
    """
    values = [float(value) for value in item.get("GraphicData") or ()]
    if len(values) % 2:
        yield "coordinates", "a graphic has an odd number of coordinates"
        return
    if item.get("GraphicType") == "CIRCLE" and len(values) != 4:
        yield "coordinates", "a CIRCLE must have two points"
    if matrix is None:
        return
    rows, columns = matrix
    xs, ys = values[::2], values[1::2]
    # Written as `not all(...)`, so that NaN fails too.
    if not all(0 <= x <= columns for x in xs) or not all(0 <= y <= rows for y in ys):
        yield "coordinates", "a graphic lies outside the matrix of its image"


def _group_faults(items: list[Dataset]) -> Iterator[Pair]:
    """Yield a fault for what makes OHIF 3.12 and 3.13 crash on opening, and for rows of TID 1410."""
    groups = [item for item in items if _name(item) == codes.MEASUREMENT_GROUP.value]
    if not groups:
        yield "viewer", "a report of this title without a Measurement Group crashes OHIF"
    for group in groups:
        rows = list(group.get("ContentSequence", []))
        if not any(child.get("ValueType") == "SCOORD" for child in _walk(group)):
            yield "viewer", "a Measurement Group without a SCOORD crashes OHIF"
        if _has(rows, codes.TRACKING_IDENTIFIER) != _has(rows, codes.TRACKING_UID):
            yield (
                "tracking",
                "a group has only one of Tracking Identifier and Tracking UID (TID 1410)",
            )
