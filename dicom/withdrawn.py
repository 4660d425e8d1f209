"""The notice that a draft is withdrawn, for archives from which nothing may be removed.

A stored document is never changed. The notice is a new one beside it, in a series whose name says so,
that names the draft among its predecessors (PS3.3 C.17.2).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from dicom import codes
from dicom.gate import check
from dicom.outputs import Output, as_file
from dicom.patient_study import clean_text
from dicom.report import Predecessor
from dicom.result_header import Equipment, Origin, new_object
from dicom.sr import BASIC_TEXT_SR
from dicom.sr_document import (
    code,
    container,
    device_author,
    device_observer,
    language,
    text,
    write_document_modules,
    write_draft_flags,
    write_predecessor,
    write_root,
)

_DO_NOT_USE: Final = "WITHDRAWN - DO NOT USE."


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Which draft is withdrawn, and why.

    Attributes:
        draft: The draft's SR, as it was delivered.
        model: Name and version of the model that wrote it.
        reason: Why, for a person.
        revision: That of the draft.
        withdrawn_at: When that was decided, an aware time.
    """

    study_instance_uid: str
    draft: Predecessor
    model: str
    reason: str
    revision: int
    withdrawn_at: datetime


def withdrawal_notice(withdrawal: Withdrawal, source: Dataset, equipment: Equipment) -> Output:
    """Return the Basic Text SR that withdraws a draft; the same for the same arguments.

    Args:
        withdrawal: Which draft, and why.
        source: Header of any object of the study, the draft itself for one.
        equipment: This installation.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: It lacks what a result needs.
        InvalidOutput: The notice does not pass the gate.
    """
    document = new_object(
        _origin(withdrawal, equipment),
        source,
        equipment,
        kind="withdrawn",
        sop_class_uid=BASIC_TEXT_SR,
    )
    write_document_modules(document, source, device_author(equipment), ())
    write_draft_flags(document, "COMPLETE", "AI draft withdrawn")
    write_predecessor(document, withdrawal.study_instance_uid, withdrawal.draft)
    opening, why, conclusion = _sentences(withdrawal)
    write_root(
        document,
        codes.DIAGNOSTIC_IMAGING_REPORT,
        "2000",
        [
            code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, "HAS CONCEPT MOD"),
            language(),
            *device_observer(equipment),
            container(
                codes.CURRENT_PROCEDURE_DESCRIPTIONS,
                [text(codes.PROCEDURE_DESCRIPTION, opening)],
            ),
            container(codes.FINDINGS, [text(codes.FINDING, why)]),
            container(codes.IMPRESSIONS, [text(codes.IMPRESSION, conclusion)]),
        ],
    )
    check(document, source)
    return Output(kind="withdrawn", dataset=as_file(document))


def _sentences(withdrawal: Withdrawal) -> tuple[str, str, str]:
    reason = clean_text(withdrawal.reason).rstrip(".") or "no reason was recorded"
    opening = (
        f"{_DO_NOT_USE} The AI draft of this study, revision {withdrawal.revision} by "
        f"{withdrawal.model}, is withdrawn with its findings and images."
    )
    return (
        opening,
        f"Why the draft is withdrawn: {reason}.",
        f"{_DO_NOT_USE} This says nothing of the patient: the study must be read without that draft.",
    )


def _origin(withdrawal: Withdrawal, equipment: Equipment) -> Origin:
    return Origin(
        study_instance_uid=withdrawal.study_instance_uid,
        key=(
            withdrawal.draft.sop_instance_uid,
            withdrawal.reason,
            withdrawal.withdrawn_at.isoformat(),
            equipment.device_uid,
        ),
        revision=withdrawal.revision,
        produced_at=withdrawal.withdrawn_at,
        software=(equipment.words,),
        statement=f"AI draft withdrawn. Model {withdrawal.model}.",
    )
