"""A notice about a draft: a document in its own series, or the same text as a page."""

from datetime import UTC, datetime

import pytest

from dicom.content.output_kind import NoticeForm, OutputKind
from dicom.content.report import Predecessor
from dicom.results.draft_notice import DraftNotice, draft_notice
from dicom.validation.result_object import faults


@pytest.fixture
def made(image_header, equipment):
    """A function that returns header and notice of a form."""

    def make(form, kind=OutputKind.IN_DOUBT, **attributes):
        header = image_header(**attributes)
        notice = DraftNotice(
            kind=kind,
            study_instance_uid=header.StudyInstanceUID,
            draft=Predecessor(
                sop_instance_uid="1.2.3",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
                series_instance_uid="1.2",
            ),
            key=("k",),
            model="tiny 1",
            revision=3,
            noticed_at=datetime(2026, 3, 4, 9, 30, tzinfo=UTC),
            title="AI draft in doubt",
            banner=("AI DRAFT IN DOUBT", "VERIFY PATIENT"),
            opening="A copy arrived.",
            why="It differs.",
            conclusion="Verify.",
        )
        return header, draft_notice(notice, header, equipment, form=form).dataset

    return make


def test_the_document_has_three_sections_in_order(made, content_items):
    """It states its subject, the reason and what to do; valid by every rule for results."""
    header, document = made(NoticeForm.DOCUMENT)
    texts = [
        item.TextValue
        for item in content_items(document)
        if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"
    ]
    assert texts == ["A copy arrived.", "It differs.", "Verify."]
    assert document.CompletionFlagDescription == "AI draft in doubt"
    assert document.VerificationFlag == "UNVERIFIED"
    assert faults(document, header) == ()


def test_the_page_has_no_side_of_the_body(made):
    """A page of text; its time is in the time zone of the image."""
    header, page = made(NoticeForm.PAGE, TimezoneOffsetFromUTC="+0200", Laterality="L")
    assert (page.Laterality, page.BurnedInAnnotation) == ("", "YES")
    assert (page.ContentDate, page.ContentTime) == ("20260304", "113000")
    assert page.SeriesNumber == 9873
    assert faults(page, header) == ()
