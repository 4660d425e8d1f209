"""Maps rows to frozen records, which need no database session."""

from collections.abc import Collection, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import defer, object_session

from dicom.content.output_kind import OutputKind
from dicom.content.report import DraftReport
from dicom.errors import UnreadableDraft
from dicom.study import Instance
from service.database.pieces import pieces
from service.database.review_tables import VerifiedRow
from service.database.tables import (
    DeliveryRow,
    EventRow,
    IncidentRow,
    InstanceRow,
    JobRow,
    ObjectRow,
    ProcessRow,
)
from service.database.withholding_tables import WithheldDraftRow
from service.drift.withholding import Release
from service.jobs import DeliveryState, JobState, ReasonCode
from service.log import get_logger
from service.records import (
    Delivery,
    Incident,
    Job,
    JobEvent,
    JobWithDraft,
    ProcessBeat,
    ProcessStatus,
    ReceivedInstance,
    ResultObject,
)

log = get_logger(__name__)


# What a list of jobs is loaded with; `row.draft` then raises an error.
NO_DRAFT: Final = defer(JobRow.draft, raiseload=True)
# Of a Job, but no column: whether a draft was withdrawn while it was withheld.
_NEVER_SHOWN: Final = "never_shown"
_JOB: Final = tuple(each.name for each in fields(Job) if each.name != _NEVER_SHOWN)
# A draft that was withheld and ended so: it was neither shown nor sent.
_UNSEEN: Final = ("", Release.ENDED.value)
_OBJECT: Final = ("sop_class_uid", "sop_instance_uid", "series_instance_uid", "sha256")
_INSTANCE: Final = tuple(each.name for each in fields(Instance))


def job(row: JobRow, *, with_withheld: bool = False) -> JobWithDraft:
    """Return the record of a job; if its draft cannot be read, `draft_fault` says why.

    Args:
        row: The row.
        with_withheld: Also a draft that is withheld, or was canceled or withdrawn while it was.
            Without it no page and no answer can show one.
    """
    unseen = _never_shown([row])
    is_hidden = row.id in unseen or _is_withheld(row)
    draft, fault = _hidden(row) if is_hidden and not with_withheld else _draft(row)
    image = drafted_image(row) or ""
    values = _columns(row, unseen)
    return JobWithDraft(**values, draft=draft, draft_fault=fault, drafted_image=image)


def jobs(found: Iterable[JobRow]) -> list[Job]:
    """Return the records of jobs without drafts; a row that cannot be mapped is logged and left out."""
    rows, made = list(found), []
    unseen = _never_shown(rows)
    for row in rows:
        try:
            made.append(Job(**_columns(row, unseen)))
        except (ValueError, TypeError) as error:
            log.error("job_unreadable", job_id=row.id, reason=type(error).__name__)
    return made


def _columns(row: JobRow, unseen: Collection[str]) -> dict[str, Any]:
    typed = {"state": JobState(row.state), "destinations": _destinations(row)}
    return {name: getattr(row, name) for name in _JOB} | typed | {_NEVER_SHOWN: row.id in unseen}


def drafted_image(row: JobRow) -> str | None:
    """Return the SOP Instance UID of the image of a job's draft; None if it is not known."""
    draft = row.draft
    source = draft.get("source") if isinstance(draft, dict) else None
    uid = source.get("sop_instance_uid") if isinstance(source, dict) else None
    return uid if isinstance(uid, str) else None


def _is_withheld(row: JobRow) -> bool:
    """Return whether the draft is withheld, or was canceled before it was shown."""
    return row.draft is not None and row.reason_code == ReasonCode.WITHHELD


def _never_shown(rows: Collection[JobRow]) -> frozenset[str]:
    """Return the ids of jobs whose draft was withdrawn while it was withheld.

    A draft that a person had sent or shown, also after it was canceled while it was withheld, was no
    longer withheld: it has deliveries, or its job, which has no destination, was COMPLETED by that.
    """
    hidden = [row for row in rows if _may_be_unseen(row)]
    session = object_session(hidden[0]) if hidden else None
    if session is None:
        return frozenset()
    sent = select(DeliveryRow.id).where(
        DeliveryRow.job_id == WithheldDraftRow.job_id, DeliveryRow.notice == ""
    )
    chosen = select(WithheldDraftRow.job_id).where(
        WithheldDraftRow.release.in_(_UNSEEN), ~sent.exists()
    )
    found: set[str] = set()
    for ids in pieces(row.id for row in hidden):  # a withdrawal may concern any number of drafts
        found.update(session.scalars(chosen.where(WithheldDraftRow.job_id.in_(ids))))
    return frozenset(found)


def _may_be_unseen(row: JobRow) -> bool:
    # No job of a withheld draft is COMPLETED, and a withdrawal leaves a COMPLETED one in its state.
    return row.reason_code == ReasonCode.RECALLED and row.state != JobState.COMPLETED


def _hidden(row: JobRow) -> tuple[None, str]:
    return None, row.reason if row.state == JobState.DRAFTED.value else ""


def _draft(row: JobRow) -> tuple[DraftReport | None, str]:
    if row.draft is None:
        return None, ""
    try:
        return DraftReport.from_json(row.draft), ""
    except UnreadableDraft as error:
        return None, f"The stored draft cannot be read by this version of Wetread: {error}."


def _destinations(row: JobRow) -> tuple[str, ...] | None:
    """Return the job's destinations; None if they were not recorded (old jobs) or are no list."""
    return tuple(row.destinations) if isinstance(row.destinations, list) else None


def event(row: EventRow) -> JobEvent:
    """Return the record of one line of history."""
    return JobEvent(
        at=row.at,
        actor=row.actor,
        action=row.action,
        from_state=JobState(row.from_state) if row.from_state else None,
        to_state=JobState(row.to_state),
        reason=row.reason,
    )


def result_object(row: ObjectRow) -> ResultObject:
    """Return the record of one object in the outbox."""
    return ResultObject(
        kind=row.kind, study_instance_uid=row.study_instance_uid, **_object_columns(row)
    )


def verified_object(row: VerifiedRow, study_instance_uid: str) -> ResultObject:
    """Return the record of the object of a verified report, whose row does not name its study."""
    return ResultObject(
        kind=OutputKind.VERIFIED_REPORT,
        study_instance_uid=study_instance_uid,
        **_object_columns(row),
    )


def _object_columns(row: ObjectRow | VerifiedRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _OBJECT} | {"path": Path(row.path)}


def delivery(row: DeliveryRow) -> Delivery:
    """Return the record of one job at one destination."""
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        not_before=row.not_before,
        first_error=row.first_error,
        last_error=row.last_error,
        confirmed_at=row.confirmed_at,
        created_at=row.created_at,
        fence=row.fence,
        notice=row.notice,
        unlisted=row.unlisted,
        read_back=row.read_back,
    )


def received(row: InstanceRow) -> ReceivedInstance:
    """Return the record of one Instance for the study's page."""
    return ReceivedInstance(
        **_instance_columns(row),
        calling_ae=row.calling_ae,
        received_at=row.received_at,
        conflict=row.conflict,
        compared=row.compared_at is not None,
        differs=row.differs,
    )


def instance(row: InstanceRow) -> Instance:
    """Return the Instance in the form that the package `dicom` uses."""
    return Instance(**_instance_columns(row))


def _instance_columns(row: InstanceRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _INSTANCE} | {"path": Path(row.path)}


def beat(row: ProcessRow) -> ProcessBeat:
    """Return the record of a process."""
    return ProcessBeat(
        name=row.name,
        role=row.role,
        host=row.host,
        pid=row.pid,
        started_at=row.started_at,
        seen_at=row.seen_at,
        restarts=row.restarts,
        detail=row.detail,
        status=ProcessStatus(row.status),
        reason=row.reason,
    )


def incident(row: IncidentRow) -> Incident:
    """Return the record of an incident."""
    return Incident(
        at=row.at, actor=row.actor, kind=row.kind, subject=row.subject, detail=row.detail
    )
