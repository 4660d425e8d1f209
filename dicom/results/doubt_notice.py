"""The notice that a draft is in doubt: a different copy of its image arrived after the reading."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.output_kind import NoticeForm, OutputKind
from dicom.content.patient_study import clean_text
from dicom.content.report import Predecessor
from dicom.content.result_header import Equipment
from dicom.results.draft_notice import DraftNotice, draft_notice
from dicom.results.result_file import Output

_BANNER: Final = ("AI DRAFT IN DOUBT", "VERIFY PATIENT")
_VERIFY: Final = "AI DRAFT IN DOUBT - VERIFY PATIENT."


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Which draft is in doubt, and why.

    Attributes:
        study_instance_uid: Study Instance UID of the draft.
        draft: The draft's SR, as it was delivered.
        model: Name and version of the model that wrote it.
        image_uid: SOP Instance UID of the image that arrived twice.
        copy_digest: Digest of the later copy.
        reason: A sentence that names the differences between the copies, without any value.
        revision: Revision of the draft.
        found_at: When the difference was found, an aware time.
    """

    study_instance_uid: str
    draft: Predecessor
    model: str
    image_uid: str
    copy_digest: str
    reason: str
    revision: int
    found_at: datetime


def doubt_notice(
    doubt: Doubt,
    source: Dataset,
    equipment: Equipment,
    *,
    form: NoticeForm = NoticeForm.DOCUMENT,
) -> Output:
    """Return the notice that a draft is in doubt; the same arguments give the same notice.

    Args:
        doubt: Which draft is in doubt, and why.
        source: Header of the draft, so that archives file the notice beside the draft.
        equipment: This installation.
        form: Document or page.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: The notice fails validation.
    """
    notice = DraftNotice(
        kind=OutputKind.IN_DOUBT,
        study_instance_uid=doubt.study_instance_uid,
        draft=doubt.draft,
        key=(doubt.image_uid, doubt.copy_digest),
        model=doubt.model,
        revision=doubt.revision,
        noticed_at=doubt.found_at,
        title="AI draft in doubt; patient, order and image must be verified",
        banner=_BANNER,
        opening=f"{_VERIFY} A corrected or conflicting copy of the image arrived. This "
        "later copy was not read. The "
        f"AI draft of this study, revision {doubt.revision} by {doubt.model}, was made from the "
        "copy that arrived first.",
        why=f"{clean_text(doubt.reason)} Image: SOP Instance UID {doubt.image_uid}.",
        conclusion=f"{_VERIFY} Do not use the draft before patient, order and image are verified.",
    )
    return draft_notice(notice, source, equipment, form=form)
