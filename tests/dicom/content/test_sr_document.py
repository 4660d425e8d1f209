"""Content items and documents of our Structured Reports."""

import pytest

from dicom.content import codes
from dicom.content.output_kind import OutputKind
from dicom.content.report import Predecessor
from dicom.content.result_header import new_result
from dicom.content.sr_document import (
    Relationship,
    code,
    container,
    device_author,
    device_observer,
    diagnostic_report,
    order_of,
    person_observer,
    report_document,
    section,
    text,
)


@pytest.fixture
def document(image_header, make_draft, equipment):
    """A function that returns a document of one sentence."""

    def make(kind=OutputKind.DRAFT_REPORT, header=None, **options):
        source = header or image_header()
        written = new_result(make_draft(source), source, equipment, kind=kind)
        root = diagnostic_report(
            codes.IMAGING_PROCEDURE,
            device_observer(equipment),
            [section(codes.FINDINGS, codes.FINDING, ["Clear."])],
        )
        author = device_author(equipment)
        return report_document(written, source, root, author=author, evidence=(), **options)

    return make


def test_items_have_their_values(equipment):
    """Text is one line; an item may have children."""
    child = code(codes.FINDING, codes.DEVICE)
    item = text(codes.FINDING, "two\nlines\x07", children=[child])
    assert (item.ValueType, item.TextValue) == ("TEXT", "two lines")
    assert item.ContentSequence[0].ConceptCodeSequence[0].CodeValue == codes.DEVICE.value
    heading = container(codes.FINDINGS, [item], template="99", relationship=Relationship.CONTAINS)
    assert heading.ContentTemplateSequence[0].TemplateIdentifier == "99"
    assert "ContentSequence" not in text(codes.FINDING, "x")
    assert device_author(equipment).ObserverType == "DEV"


def test_observers_are_devices_or_persons(equipment):
    """TID 1002, 1003 and 1004."""
    device = {item.name.value: item for item in device_observer(equipment)}
    assert device[codes.DEVICE_UID.value].value == equipment.device_uid
    person = {item.name.value: item for item in person_observer("Curie^Marie", "Klinikum")}
    assert str(person[codes.PERSON_NAME.value].value) == "Curie^Marie"


def test_a_document_is_unverified_unless_stated(document):
    """Its tree, its author and the order of the image."""
    made = document()
    assert (made.CompletionFlag, made.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert made.PreliminaryFlag == "PRELIMINARY"
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "2000"
    (request,) = made.ReferencedRequestSequence
    assert request.AccessionNumber == "ACC0001"
    assert "CurrentRequestedProcedureEvidenceSequence" not in made
    assert document(is_complete=True, description="x").CompletionFlagDescription == "x"


def test_without_an_order_there_is_no_request(document, image_header):
    """An empty item would state that the image has one."""
    made = document(header=image_header(AccessionNumber=""))
    assert not made.get("ReferencedRequestSequence")
    assert len(order_of(image_header())) == 0


def test_a_predecessor_has_its_purpose(document):
    """PS3.16 CID 7009."""
    earlier = Predecessor(
        sop_instance_uid="1.2.3",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
        series_instance_uid="1.2",
    )
    (study,) = document(predecessor=earlier).PredecessorDocumentsSequence
    item = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert item.ReferencedSOPInstanceUID == "1.2.3"
    purpose = item.PurposeOfReferenceCodeSequence[0]
    assert purpose.CodeValue == codes.PRELIMINARY_REPORT.value


@pytest.mark.parametrize("kind", [OutputKind.FINDINGS, OutputKind.FINDINGS_3D])
def test_the_kind_decides_the_class(document, kind):
    """Comprehensive and Comprehensive 3D SR."""
    assert document(kind).SOPClassUID.endswith("33" if kind is OutputKind.FINDINGS else "34")
