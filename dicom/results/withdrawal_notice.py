"""The notice that a draft is withdrawn, for archives from which objects may not be removed."""

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

_BANNER: Final = ("AI DRAFT WITHDRAWN", "DO NOT USE")
_DO_NOT_USE: Final = "WITHDRAWN - DO NOT USE."


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Which draft is withdrawn, and why.

    Attributes:
        study_instance_uid: Study Instance UID of the draft.
        draft: The draft's SR, as it was delivered.
        model: Name and version of the model that wrote it.
        reason: Why it is withdrawn, for a person.
        revision: Revision of the draft.
        withdrawn_at: When the withdrawal was decided, an aware time.
    """

    study_instance_uid: str
    draft: Predecessor
    model: str
    reason: str
    revision: int
    withdrawn_at: datetime


def withdrawal_notice(
    withdrawal: Withdrawal,
    source: Dataset,
    equipment: Equipment,
    *,
    form: NoticeForm = NoticeForm.DOCUMENT,
) -> Output:
    """Return the notice that withdraws a draft; the same arguments give the same notice.

    Args:
        withdrawal: Which draft is withdrawn, and why.
        source: Header of any object of the study, for example of the draft.
        equipment: This installation.
        form: Document or page.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: The notice fails validation.
    """
    reason = clean_text(withdrawal.reason).rstrip(".") or "no reason was recorded"
    notice = DraftNotice(
        kind=OutputKind.WITHDRAWN,
        study_instance_uid=withdrawal.study_instance_uid,
        draft=withdrawal.draft,
        key=(withdrawal.reason,),
        model=withdrawal.model,
        revision=withdrawal.revision,
        noticed_at=withdrawal.withdrawn_at,
        title="AI draft withdrawn",
        banner=_BANNER,
        opening=f"{_DO_NOT_USE} The AI draft of this study, revision {withdrawal.revision} by "
        f"{withdrawal.model}, is withdrawn with its findings and images.",
        why=f"Why the draft is withdrawn: {reason}.",
        conclusion=f"{_DO_NOT_USE} The notice is no statement about the patient: the study must be read "
        "without that draft.",
    )
    return draft_notice(notice, source, equipment, form=form)
