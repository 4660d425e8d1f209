"""Drafts in doubt: another content of their image came, and their destinations get a notice."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import DeliveryRow, IncidentRow, InstanceRow, JobRow
from service.jobs import ALARMS, RECALLED, DeliveryState, DraftStatus, Event, JobState
from service.records import Conflict, Delivery, Job
from service.store import record_mapping
from service.store.transitions import Transitions, changed_rows

_DIFFERS: Final = "A later copy of its image differs."
_MOST_COPIES: Final = 4  # that a job's sentence names beside the first one
_OPEN: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


class Doubts(Transitions):
    """Conflicts are compared once; what they put in doubt is noted, and its notices made due."""

    def conflicts_to_compare(self, *, after: int = 0, limit: int = 20) -> list[Conflict]:
        """Return conflicts that have not been compared since their film was last drafted.

        Args:
            after: Only those with a higher number (`Conflict.id`), which is that of the order.
            limit: At most so many.
        """
        chosen = (
            select(InstanceRow)
            .where(InstanceRow.conflict, InstanceRow.compared_at.is_(None), InstanceRow.id > after)
            .order_by(InstanceRow.id)
            .limit(limit)
        )
        with self._reading() as session:
            found = [(row, _first(session, row)) for row in session.scalars(chosen)]
            return [_conflict(row, first) for row, first in found if first is not None]

    def compared(self, conflict: Conflict, differs: str) -> list[Job]:
        """Note in what a conflict differs, "" for nothing that matters; return the drafts in doubt.

        Nothing happens where another process was sooner.
        """
        now = self.now()
        undone = update(InstanceRow).where(
            InstanceRow.id == conflict.id, InstanceRow.compared_at.is_(None)
        )
        with self._writing() as session:
            if not changed_rows(session, undone.values(compared_at=now, differs=differs)):
                return []
            doubted = _drafts_of(session, conflict) if differs else []
            return [
                record_mapping.job(self._put_in_doubt(session, row, conflict, differs))
                for row in doubted
            ]

    def _put_in_doubt(
        self, session: Session, row: JobRow, conflict: Conflict, differs: str
    ) -> JobRow:
        now, words = self.now(), differs_in(differs)
        due = self._make_notices_due(session, row, conflict.digest, now)
        if due or not row.doubt:
            row.doubt = _all_differences(session, conflict.sop_instance_uid)
            row.doubted_at = row.updated_at = now
            session.flush()
            state = JobState(row.state)
            actor = conflict.calling_ae
            self._event(session, row.id, Event.DOUBT, actor, (state, state), words)
            session.execute(insert(IncidentRow).values(_incident(row, conflict, words, now)))
        return row

    def _make_notices_due(self, session: Session, row: JobRow, digest: str, now: datetime) -> bool:
        """Let each destination that may have the draft, or will, get a notice, once for each copy."""
        if row.removed_at is not None:
            return False
        may_have = or_(DeliveryRow.fence > 0, DeliveryRow.state.in_(_OPEN))
        names = session.scalars(
            select(DeliveryRow.destination)
            .where(DeliveryRow.job_id == row.id, DeliveryRow.notice == "", may_have)
            .order_by(DeliveryRow.id)
        ).all()
        made = [
            self._insert_new(session, DeliveryRow, **_notice(row.id, name, digest, now))
            for name in names
        ]
        return any(made)

    def difference(self, sop_instance_uid: str, digest: str) -> str:
        """Return in what one later copy of an image differs from the first, as a sentence.

        Args:
            sop_instance_uid: The image.
            digest: Of the copy.
        """
        found = select(InstanceRow.differs).where(
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.digest == digest,
            InstanceRow.conflict,
        )
        with self._reading() as session:
            return differs_in(session.scalar(found) or "")

    def notices(self, job_id: str) -> list[Delivery]:
        """Return where the notices that a job's draft is in doubt stand, one for each destination."""
        with self._reading() as session:
            found = session.scalars(
                select(DeliveryRow)
                .where(DeliveryRow.job_id == job_id, DeliveryRow.notice != "")
                .order_by(DeliveryRow.id)
            )
            return [record_mapping.delivery(row) for row in found]

    def alarm_counts(self) -> dict[DraftStatus, int]:
        """Return how many drafts are withdrawn, and how many in doubt that no later one supersedes."""
        with self._reading() as session:
            return {
                status: session.scalar(
                    select(func.count()).select_from(JobRow).where(*alarmed(status))
                )
                or 0
                for status in ALARMS
            }


def differs_in(differs: str) -> str:
    """Return a sentence on one later copy of a draft's image."""
    return f"A later copy of its image differs in {differs}." if differs else _DIFFERS


def _all_differences(session: Session, sop_instance_uid: str) -> str:
    """Return in what the later copies of an image differ; equal sentences are given once."""
    copies = (
        select(InstanceRow.differs)
        .where(
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.conflict,
            InstanceRow.compared_at.is_not(None),
            InstanceRow.differs != "",
        )
        .order_by(InstanceRow.id)
    )
    first, *others = dict.fromkeys(session.scalars(copies))
    more = [f"Another copy differs in {differs}." for differs in others[:_MOST_COPIES]]
    left_out = len(others) - len(more)
    more += [f"{left_out} more copies differ in yet other ways."] if left_out else []
    return " ".join((differs_in(first), *more))


def alarmed(status: DraftStatus) -> list[ColumnElement[bool]]:
    """Return what holds of the jobs whose drafts have one of the ALARMS and are not superseded.

    Their partial indexes serve only values that stand in the statement itself.
    """
    if status is DraftStatus.WITHDRAWN:
        return [JobRow.reason_code == literal(RECALLED, literal_execute=True)]
    return [
        JobRow.doubt != literal("", literal_execute=True),
        JobRow.reason_code != RECALLED,
        JobRow.superseded_by.is_(None),
    ]


def compare_again(session: Session, sop_instance_uid: str | None) -> None:
    """Have the conflicts of an image compared once more: its draft is new, or is sent again.

    None, for a job without a draft or with one that cannot be read, changes nothing.
    """
    if sop_instance_uid is None:
        return
    conflicts = update(InstanceRow).where(
        InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.conflict
    )
    changed_rows(session, conflicts.values(compared_at=None))


def _first(session: Session, row: InstanceRow) -> InstanceRow | None:
    return session.scalar(
        select(InstanceRow).where(
            InstanceRow.sop_instance_uid == row.sop_instance_uid, ~InstanceRow.conflict
        )
    )


def _conflict(row: InstanceRow, first: InstanceRow) -> Conflict:
    return Conflict(
        id=row.id,
        sop_instance_uid=row.sop_instance_uid,
        study_instance_uid=first.study_instance_uid,
        digest=row.digest,
        calling_ae=row.calling_ae,
        differs=row.differs,
        first=None if first.removed_at else record_mapping.instance(first),
        second=None if row.removed_at else record_mapping.instance(row),
    )


def _drafts_of(session: Session, conflict: Conflict) -> list[JobRow]:
    """Return the jobs whose draft is about the conflict's image and is not withdrawn."""
    drafted = select(JobRow).where(
        JobRow.study_instance_uid == conflict.study_instance_uid,
        JobRow.draft.is_not(None),
        JobRow.reason_code != RECALLED,
    )
    return [
        row
        for row in session.scalars(drafted.order_by(JobRow.created_at))
        if record_mapping.drafted_image(row) == conflict.sop_instance_uid
    ]


def _notice(job_id: str, destination: str, digest: str, now: datetime) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "destination": destination,
        "notice": digest,
        "state": DeliveryState.PENDING.value,
        "created_at": now,
        "attempts": 0,
        "first_error": "",
        "last_error": "",
        "lease_owner": "",
        "fence": 0,
        "lapses": 0,
    }


def _incident(row: JobRow, conflict: Conflict, words: str, now: datetime) -> dict[str, Any]:
    return {
        "at": now,
        "actor": conflict.calling_ae,
        "kind": Event.DOUBT.value,
        "subject": row.study_instance_uid,
        "detail": f"The draft of job {row.id[:8]} is in doubt. {words} Verify patient, order and image.",
    }
