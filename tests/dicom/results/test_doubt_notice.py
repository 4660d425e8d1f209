"""The notice that a draft is in doubt names what differs, without any value."""

from datetime import UTC, datetime

import pytest

from dicom.content.output_kind import NoticeForm
from dicom.content.report import Predecessor
from dicom.results.doubt_notice import Doubt, doubt_notice

DRAFT = Predecessor(
    sop_instance_uid="1.2.3",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
    series_instance_uid="1.2",
)


@pytest.fixture
def notice(image_header, equipment):
    """A function that returns a notice; keywords change the doubt."""
    header = image_header()

    def make(form=NoticeForm.DOCUMENT, **changes):
        values = {
            "study_instance_uid": header.StudyInstanceUID,
            "draft": DRAFT,
            "model": "tiny 1",
            "image_uid": "1.2.3.4",
            "copy_digest": "ab",
            "reason": "A later copy of its image differs in Patient ID.",
            "revision": 1,
            "found_at": datetime(2026, 3, 4, 9, tzinfo=UTC),
        }
        return doubt_notice(Doubt(**{**values, **changes}), header, equipment, form=form)

    return make


def test_the_document_names_difference_and_image(notice, content_items):
    """And what the reader must do."""
    document = notice().dataset
    said = [item.TextValue for item in content_items(document) if item.ValueType == "TEXT"]
    assert any("differs in Patient ID. Image: SOP Instance UID 1.2.3.4." in each for each in said)
    assert any(each.startswith("AI DRAFT IN DOUBT - VERIFY PATIENT.") for each in said)
    assert document.SeriesDescription.startswith("AI DRAFT IN DOUBT")


def test_each_copy_has_a_notice_of_its_own(notice):
    """By the digest of the copy."""
    uids = {
        notice(form, copy_digest=digest).dataset.SOPInstanceUID
        for form in NoticeForm
        for digest in ("ab", "cd")
    }
    assert len(uids) == 4
    assert notice(NoticeForm.PAGE).kind == "in-doubt-page"
