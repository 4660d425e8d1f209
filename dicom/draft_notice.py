"""A notice about a draft that an archive holds: that it is withdrawn, or in doubt.

A stored document is never changed. The notice is a new one beside it, in a series whose name says so,
that names the draft among its predecessors (PS3.3 C.17.2).
"""

from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from dicom import codes
from dicom.gate import check
from dicom.outputs import Output, as_file
from dicom.report import Predecessor
from dicom.result_header import Equipment, Origin, OutputKind, new_object
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNotice:
    """What a notice says, and of which draft.

    Attributes:
        kind: Which notice it is.
        draft: The draft's SR, as it was delivered.
        key: What tells this notice from another one about the same draft.
        model: Name and version of the model that wrote the draft.
        revision: That of the draft.
        decided_at: When it was found or decided, an aware time.
        title: What the notice is in a few words, for Completion Flag Description.
        opening: The first sentence that a reader meets.
        why: The reason.
        conclusion: What to do.
    """

    kind: OutputKind
    study_instance_uid: str
    draft: Predecessor
    key: tuple[str, ...]
    model: str
    revision: int
    decided_at: datetime
    title: str
    opening: str
    why: str
    conclusion: str


def draft_notice(notice: DraftNotice, source: Dataset, equipment: Equipment) -> Output:
    """Return the Basic Text SR of a notice; the same for the same arguments.

    Args:
        notice: What it says, and of which draft.
        source: Header of any object of the study, the draft itself for one.
        equipment: This installation.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: It lacks what a result needs.
        InvalidOutput: The notice does not pass the gate.
    """
    document = new_object(
        _origin(notice, equipment),
        source,
        equipment,
        kind=notice.kind,
        sop_class_uid=BASIC_TEXT_SR,
    )
    write_document_modules(document, source, device_author(equipment), ())
    write_draft_flags(document, "COMPLETE", notice.title)
    write_predecessor(document, notice.study_instance_uid, notice.draft)
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
                [text(codes.PROCEDURE_DESCRIPTION, notice.opening)],
            ),
            container(codes.FINDINGS, [text(codes.FINDING, notice.why)]),
            container(codes.IMPRESSIONS, [text(codes.IMPRESSION, notice.conclusion)]),
        ],
    )
    check(document, source)
    return Output(kind=notice.kind, dataset=as_file(document))


def _origin(notice: DraftNotice, equipment: Equipment) -> Origin:
    return Origin(
        study_instance_uid=notice.study_instance_uid,
        key=(
            notice.draft.sop_instance_uid,
            *notice.key,
            notice.decided_at.isoformat(),
            equipment.device_uid,
        ),
        revision=notice.revision,
        produced_at=notice.decided_at,
        software=(equipment.words,),
        statement=f"{notice.title}. Model {notice.model}.",
    )
