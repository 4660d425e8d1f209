"""Faults of content trees, on small trees made by hand."""

import pytest
from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.result_header import code_item
from dicom.validation.content_tree import point_faults, tree_faults


def item(value_type="TEXT", name=codes.FINDING, children=(), **values):
    """Return a content item."""
    made = Dataset()
    made.ValueType, made.RelationshipType = value_type, "CONTAINS"
    if name is not None:
        made.ConceptNameCodeSequence = [code_item(name)]
    if value_type == "TEXT":
        made.TextValue = "Clear."
    for keyword, value in values.items():
        setattr(made, keyword, value)
    if children:
        made.ContentSequence = list(children)
    return made


def coded(name, value):
    """Return a CODE item."""
    return item("CODE", name, ConceptCodeSequence=[code_item(value)])


LANGUAGE = coded(codes.LANGUAGE, codes.ENGLISH_US)


def report(*children, template="2000", title=codes.DIAGNOSTIC_IMAGING_REPORT):
    """Return a document with its language."""
    root = item("CONTAINER", title, (LANGUAGE, *children))
    if template:
        stated = Dataset()
        stated.TemplateIdentifier = template
        root.ContentTemplateSequence = [stated]
    return root


def found(document, kind="Basic Text SR", matrix=None):
    """Return the rules that a document breaks."""
    return [rule for rule, _ in tree_faults(document, kind, matrix)]


def test_a_small_report_has_no_fault():
    """Title, template, language and a text."""
    assert found(report(item())) == []


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (report(template=""), "template"),
        (report(template="1500"), "template"),
        (item("CONTAINER", codes.DIAGNOSTIC_IMAGING_REPORT, (item(),)), "language"),
        (report(coded(codes.OBSERVER_TYPE, codes.DEVICE)), "observer"),
        (report(coded(codes.OBSERVER_TYPE, codes.PERSON)), "observer"),
        (report(item("NUM", MeasuredValueSequence=[Dataset()])), "value-type"),
        (report(item(TextValue="")), "item"),
        (report(item(RelationshipType="")), "item"),
        (report(item(name=None)), "item"),
    ],
)
def test_each_fault_is_found(document, rule):
    """By the name of its rule."""
    assert rule in found(document)


def test_an_object_that_is_referenced_must_be_in_the_evidence():
    """PS3.3 C.17.2: listed by study and series."""
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.3"
    document = report(item("IMAGE", None, ReferencedSOPSequence=[reference]))
    assert found(document) == ["evidence"]
    series, study = Dataset(), Dataset()
    series.ReferencedSOPSequence = [reference]
    study.ReferencedSeriesSequence = [series]
    document.CurrentRequestedProcedureEvidenceSequence = [study]
    assert found(document) == []


def measured(*children):
    """Return an Imaging Measurement Report."""
    procedure = coded(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE)
    title = codes.IMAGING_MEASUREMENT_REPORT
    return report(procedure, *children, template="1500", title=title)


def test_a_report_without_a_region_crashes_viewers():
    """No group, and a group without coordinates."""
    assert found(measured(), "Comprehensive SR") == ["viewer"]
    group = item("CONTAINER", codes.MEASUREMENT_GROUP)
    assert found(measured(group), "Comprehensive SR") == ["viewer"]


def test_tracking_needs_both_identifiers():
    """TID 1410."""
    region = item("SCOORD", None, (item("IMAGE", None, ReferencedSOPSequence=[Dataset()]),))
    region.GraphicData, region.GraphicType = [1.0, 1.0, 2.0, 2.0], "POLYLINE"
    tracking = item("TEXT", codes.TRACKING_IDENTIFIER)
    group = item("CONTAINER", codes.MEASUREMENT_GROUP, (region, tracking))
    assert "tracking" in found(measured(group), "Comprehensive SR", (10, 10))


@pytest.mark.parametrize(
    ("data", "kind", "matrix", "faults"),
    [
        ([1.0, 2.0, 3.0, 4.0], "POLYLINE", (4, 3), 0),
        ([1.0, 2.0, 3.0], "POLYLINE", None, 1),
        ([1.0, 2.0], "CIRCLE", None, 1),
        ([1.0, 5.0, 1.0, 1.0], "POLYLINE", (4, 3), 1),
        ([4.0, 1.0, 1.0, 1.0], "POLYLINE", (4, 3), 1),
        ([float("nan"), 1.0], "POINT", (4, 3), 1),
        ([-0.5, 1.0], "POINT", (4, 3), 1),
        ([99.0, 99.0], "POINT", None, 0),
    ],
)
def test_points_lie_in_the_matrix(data, kind, matrix, faults):
    """Columns first; the border belongs to the image."""
    graphic = Dataset()
    graphic.GraphicData, graphic.GraphicType = data, kind
    assert len(list(point_faults(graphic, matrix))) == faults
