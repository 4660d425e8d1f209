"""Drafts in doubt: a copy of their image with other content came; their destinations get a notice."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal, or_, select, update
from sqlalchemy.orm import Session

from service.database.tables import DeliveryRow, InstanceRow, JobRow
from service.jobs import ALARMS, DeliveryState, DraftStatus, Event, JobState, ReasonCode
from service.records import Conflict, Delivery, IncidentKind, Job
from service.store import record_mapping
from service.store.transitions import OF_DOUBT, Transitions, changed_rows

_DIFFERS: Final = "A later copy of its image differs."
_MOST_COPIES: Final = 4  # named in a job's sentence after the first one
_OPEN: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


class Doubts(Transitions):
    """Results of comparing conflicts: drafts in doubt, and notices that become due."""

    def conflicts_to_compare(self, *, after: int = 0, limit: int = 20) -> list[Conflict]:
        """Return conflicts that have not been compared since their image was last drafted or sent again.

        Args:
            after: Only those with a higher `Conflict.id`; the result is in that order.
            limit: Most conflicts to return.
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
        """Record in what a conflict differs, "" for nothing that matters; return the drafts in doubt.

        If another process has recorded it first, nothing is written and the list is empty.
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
        now, difference = self.now(), differs_in(differs)
        due = self._make_notices_due(session, row, conflict.digest, now)
        # A conflict that is compared again adds no second event if all its notices exist already.
        if due or not row.doubt:
            row.doubt = _all_differences(session, conflict.sop_instance_uid)
            row.doubted_at = row.updated_at = now
            session.flush()
            state = JobState(row.state)
            actor = conflict.calling_ae
            self._event(session, row.id, Event.DOUBT, actor, (state, state), difference)
            self._incident(
                session,
                IncidentKind.DOUBT,
                actor=actor,
                subject=row.study_instance_uid,
                detail=f"The draft of job {row.id[:8]} is in doubt. {difference} "
                "Verify patient, order and image.",
            )
        return row

    def _make_notices_due(self, session: Session, row: JobRow, digest: str, now: datetime) -> bool:
        """Make a notice due, once for each copy, at each destination that has or may get the draft."""
        if row.removed_at is not None:
            return False
        # fence > 0: it was claimed at least once, so the destination may hold the draft.
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
        """Return a sentence: in what one later copy of an image differs from the first.

        Args:
            sop_instance_uid: SOP Instance UID of the image.
            digest: Digest of the copy.
        """
        found = select(InstanceRow.differs).where(
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.digest == digest,
            InstanceRow.conflict,
        )
        with self._reading() as session:
            return differs_in(session.scalar(found) or "")

    def notices(self, job_id: str) -> list[Delivery]:
        """Return the deliveries of a job's notices of doubt, one for each destination and copy."""
        with self._reading() as session:
            found = session.scalars(
                select(DeliveryRow)
                .where(DeliveryRow.job_id == job_id, OF_DOUBT)
                .order_by(DeliveryRow.id)
            )
            return [record_mapping.delivery(row) for row in found]

    def alarm_counts(self) -> dict[DraftStatus, int]:
        """Return the number of withdrawn drafts, and of drafts in doubt that are not superseded."""
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
    """Return sentences: in what the later copies of an image differ, equal ones once."""
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
    """Return the conditions for jobs whose draft is withdrawn, or is in doubt and not superseded.

    The values are literals because a partial index is not used for bound parameters.
    """
    if status is DraftStatus.WITHDRAWN:
        return [JobRow.reason_code == literal(ReasonCode.RECALLED.value, literal_execute=True)]
    return [
        JobRow.doubt != literal("", literal_execute=True),
        JobRow.reason_code != ReasonCode.RECALLED,
        JobRow.superseded_by.is_(None),
    ]


def compare_again(session: Session, sop_instance_uid: str | None) -> None:
    """Mark the conflicts of an image as not compared: its draft is new, or is sent again.

    None (a job without a draft, or with an unreadable one) changes nothing.
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
        JobRow.reason_code != ReasonCode.RECALLED,
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
