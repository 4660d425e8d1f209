"""What a person wants of a job: end it, try it again, let it overtake, withdraw what it made."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from service.database.tables import DeliveryRow, InstanceRow, JobRow
from service.jobs import (
    RECALLED,
    Action,
    DeliveryState,
    Event,
    IllegalTransition,
    JobState,
    allowed,
)
from service.records import Job, UnderWay
from service.store import record_mapping
from service.store.doubts import compare_again
from service.store.transitions import NO_LEASE, Change, Transitions, changed_rows, later_drafts

_AFRESH: Final[dict[str, Any]] = {
    "attempts": 0,
    "first_error": "",
    "last_error": "",
    "not_before": None,
    "published_at": None,
}
_OPEN: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


class OperatorActions(Transitions):
    """Cancel, retry, urgent; each with the name of who asks in the job's history."""

    def cancel(self, job_id: str, actor: str, reason: str = "") -> Job:
        """Return the job CANCELED; a worker that holds it notices and writes nothing.

        Raises:
            NotFound: There is no such job.
            IllegalTransition: It has ended in another way than FAILED.
        """
        words = reason or f"Canceled by {actor}."
        with self._writing() as session:
            row = self._row(session, job_id)
            self._cancel(session, row, Change(actor=actor, code="CANCELED", reason=words))
            return record_mapping.job(self._row(session, job_id))

    def _cancel(self, session: Session, row: JobRow, change: Change) -> None:
        values: dict[str, Any] = {}
        if row.state == JobState.SCHEDULED.value and row.read_through is None:
            values["read_through"] = self._newest_film(session, row.study_instance_uid)
        change = replace(change, values=values)
        self._move(session, row.id, JobState(row.state), Action.CANCEL, change)
        self._set_deliveries(session, row.id, _OPEN, DeliveryState.CANCELED)
        self._cancel_needless_notices(session, row.id)

    def _cancel_needless_notices(self, session: Session, job_id: str) -> None:
        """Cancel the notices of doubt for destinations to which the draft was never sent.

        A destination that may have the draft gets its notice although the job is canceled: the draft
        stays there, and a reader must be warned of it.
        """
        results = aliased(DeliveryRow)
        begun = select(results.id).where(
            results.job_id == DeliveryRow.job_id,
            results.destination == DeliveryRow.destination,
            results.notice == "",
            results.fence > 0,
        )
        needless = update(DeliveryRow).where(
            DeliveryRow.job_id == job_id,
            DeliveryRow.notice != "",
            DeliveryRow.state.in_(_OPEN),
            ~begun.exists(),
        )
        changed_rows(session, needless.values(state=DeliveryState.CANCELED.value, **NO_LEASE))

    def withdraw(self, job_id: str, actor: str, reason: str) -> UnderWay:
        """Let nothing that was made for the job be sent from now on, and the job say why.

        Returns:
            What was being sent: there it may yet arrive, for a moment.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            session.get(JobRow, job_id, with_for_update=True)
            sending = self._under_way(session, job_id)
            row = self._row(session, job_id)
            before = JobState(row.state)
            if Action.CANCEL in allowed(before):
                self._cancel(session, row, Change(actor=actor, code=RECALLED, reason=reason))
                row = self._row(session, job_id)
            else:
                row.reason_code, row.reason, row.updated_at = RECALLED, reason, self.now()
                session.flush()
                self._set_deliveries(session, job_id, _OPEN, DeliveryState.CANCELED)
            # The notice that it is withdrawn says more than the one that it is in doubt.
            self._set_deliveries(session, job_id, _OPEN, DeliveryState.CANCELED, notices=True)
            self._event(session, job_id, Event.RECALL, actor, (before, JobState(row.state)), reason)
            return sending

    def _under_way(self, session: Session, job_id: str) -> UnderWay:
        """Return where a job and its notices are being sent; no claim begins or ends meanwhile."""
        found = session.execute(
            select(DeliveryRow.destination, DeliveryRow.state, DeliveryRow.notice)
            .where(DeliveryRow.job_id == job_id)
            .with_for_update()
        )
        sending = [row for row in found if row.state == DeliveryState.SENDING]
        return UnderWay(
            results=frozenset(row.destination for row in sending if not row.notice),
            notices=frozenset(row.destination for row in sending if row.notice),
        )

    def retry(self, job_id: str, actor: str) -> Job:
        """Return the job on its way again: delivered once more when it has a draft, else read once more.

        Where retention has removed its results, it is read again if its films came again. The sweeper
        publishes it at its next look.

        Raises:
            NotFound: There is no such job.
            IllegalTransition: It has not ended, has been delivered, was withdrawn, its files were
                removed, or the draft of a later revision stands.
        """
        with self._writing() as session:
            row = self._row(session, job_id)
            state = JobState(row.state)
            if self._retry_notices(session, row):
                return record_mapping.job(self._row(session, job_id))
            gone = row.removed_at is not None
            if gone and not self._has_films(session, row.study_instance_uid):
                raise IllegalTransition("the files of this job were removed: send the study again")
            if row.reason_code == RECALLED:
                raise IllegalTransition(
                    "the draft of this job was withdrawn: have the study read anew"
                )
            if session.scalar(later_drafts(row).limit(1)) is not None:
                raise IllegalTransition(
                    "a later revision of this job has a draft, which stands in its place"
                )
            redeliver = row.draft is not None and not gone and Action.REDELIVER in allowed(state)
            values = _AFRESH | {"removed_at": None}
            if gone:
                # Films that come again count as new ones: it reads what is here at its claim.
                values["read_through"] = None
            if row.draft is None:
                # Nothing of this revision left the house: its results get a new time.
                values["produced_at"] = None
            change = Change(actor=actor, reason=f"Tried again by {actor}.", values=values)
            action = Action.REDELIVER if redeliver else Action.RETRY
            self._move(session, job_id, state, action, change)
            if redeliver:
                compare_again(session, record_mapping.drafted_image(row))
                ended = (DeliveryState.FAILED.value, DeliveryState.CANCELED.value)
                self._set_deliveries(session, job_id, ended, DeliveryState.PENDING)
                if row.doubt:
                    self._set_deliveries(
                        session, job_id, ended, DeliveryState.PENDING, notices=True
                    )
            return record_mapping.job(self._row(session, job_id))

    def _retry_notices(self, session: Session, row: JobRow) -> bool:
        """Make the failed notices of a delivered draft due; return whether there were any."""
        if row.state != JobState.COMPLETED.value or row.reason_code == RECALLED:
            return False
        failed = (DeliveryState.FAILED.value,)
        return bool(
            self._set_deliveries(session, row.id, failed, DeliveryState.PENDING, notices=True)
        )

    def _has_films(self, session: Session, study_uid: str) -> bool:
        kept = select(InstanceRow.id).where(
            InstanceRow.study_instance_uid == study_uid, InstanceRow.removed_at.is_(None)
        )
        return session.scalar(kept.limit(1)) is not None

    def _set_deliveries(
        self,
        session: Session,
        job_id: str,
        states: Sequence[str],
        target: DeliveryState,
        *,
        notices: bool = False,
    ) -> int:
        """Move the deliveries of a job's results, or of its notices; return how many were moved."""
        afresh = (
            _AFRESH | {"created_at": self.now(), "lapses": 0, "unlisted": 0, "read_back": None}
            if target is DeliveryState.PENDING
            else {}
        )
        kind = DeliveryRow.notice != "" if notices else DeliveryRow.notice == ""
        return changed_rows(
            session,
            update(DeliveryRow)
            .where(DeliveryRow.job_id == job_id, DeliveryRow.state.in_(states), kind)
            .values(state=target.value, lease_owner="", lease_until=None, **afresh),
        )

    def make_urgent(self, job_id: str, actor: str) -> Job:
        """Return the job, which overtakes others from now on: the sweeper publishes it again.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            row = self._row(session, job_id)
            if not row.urgent:
                state = JobState(row.state)
                row.urgent, row.updated_at, row.published_at = True, self.now(), None
                session.flush()
                self._event(session, job_id, "make_urgent", actor, (state, state), "")
            return record_mapping.job(row)
