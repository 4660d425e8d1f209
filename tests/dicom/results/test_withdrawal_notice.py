"""The notice that a draft is withdrawn, as document and as page."""

from datetime import UTC, datetime

import pytest

from dicom.content.output_kind import NoticeForm
from dicom.content.report import Predecessor
from dicom.errors import DatasetMismatch
from dicom.results.withdrawal_notice import Withdrawal, withdrawal_notice

DRAFT = Predecessor(
    sop_instance_uid="1.2.3",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
    series_instance_uid="1.2",
)


@pytest.fixture
def notice(image_header, equipment):
    """A function that returns a notice; keywords change the withdrawal."""
    header = image_header()

    def make(form=NoticeForm.DOCUMENT, **changes):
        values = {
            "study_instance_uid": header.StudyInstanceUID,
            "draft": DRAFT,
            "model": "tiny 1",
            "reason": "The model errs.",
            "revision": 2,
            "withdrawn_at": datetime(2026, 3, 4, 9, tzinfo=UTC),
        }
        withdrawal = Withdrawal(**{**values, **changes})
        return withdrawal_notice(withdrawal, header, equipment, form=form)

    return make


def test_the_document_names_reason_and_draft(notice, content_items):
    """Title, reason, and the draft as its predecessor."""
    document = notice().dataset
    said = " ".join(item.TextValue for item in content_items(document) if item.ValueType == "TEXT")
    assert "WITHDRAWN - DO NOT USE." in said
    assert "revision 2 by tiny 1" in said
    assert "Why the draft is withdrawn: The model errs." in said
    assert document.SeriesDescription.startswith("AI DRAFT WITHDRAWN")
    (study,) = document.PredecessorDocumentsSequence
    reference = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == "1.2.3"


def test_without_a_reason_the_notice_says_so(notice, content_items):
    """No field is left blank."""
    said = " ".join(
        item.TextValue
        for item in content_items(notice(reason=" ").dataset)
        if item.ValueType == "TEXT"
    )
    assert "no reason was recorded." in said


def test_the_page_is_an_image_of_its_own(notice):
    """With another UID than the document; the same arguments give the same object."""
    page = notice(NoticeForm.PAGE)
    assert page.kind == "withdrawn-page"
    assert page.dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert page.dataset.ImageComments == "AI draft withdrawn."
    assert page.dataset.SOPInstanceUID != notice().dataset.SOPInstanceUID
    assert page.dataset.SOPInstanceUID == notice(NoticeForm.PAGE).dataset.SOPInstanceUID
    other = notice(NoticeForm.PAGE, reason="Another.").dataset
    assert page.dataset.SOPInstanceUID != other.SOPInstanceUID


def test_another_study_is_refused(notice):
    """The notice would be filed under another patient."""
    with pytest.raises(DatasetMismatch):
        notice(study_instance_uid="1.2.3.4")
