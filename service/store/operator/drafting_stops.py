"""The kill switch: a person stops drafting, and starts it again. It holds across restarts.

Claims and drafts check it in their own transaction: without the database nothing is claimed or
recorded, so that an outage never starts drafting again.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.model_tables import DraftingStopRow
from service.database.question_tables import QuestionRow
from service.database.tables import JobRow
from service.jobs import Action, IllegalTransition, JobState, ReasonCode
from service.records.models import DraftingStop
from service.review.questions import FAULT_TEXT, QuestionFault, QuestionState
from service.store.review.question_rows import is_open
from service.store.stop_in_force import stop_in_force
from service.store.transitions import NO_LEASE, Change, Transitions, changed_rows

_AGAIN: Final = "Drafting was started again by {}."
# A notice that was begun before drafting was started again is recorded within this time.
_NOTICES_END: Final = timedelta(minutes=5)


class DraftingStops(Transitions):
    """The part of the store that stops and starts drafting."""

    def drafting_stop(self) -> DraftingStop | None:
        """Return the stop that holds now; None while drafting is allowed."""
        with self._reading() as session:
            return stop_in_force(session)

    def stop_drafting(self, reason: str, event: AuditEvent) -> DraftingStop:
        """Stop drafting, hand back the jobs that are being read, end open questions; return the stop.

        The worker of such a job notices within a second, and can record no draft in any case.

        Args:
            reason: Why, for pages and histories; without patient attributes.
            event: The record for the audit trail; its actor stops drafting.

        Raises:
            IllegalTransition: Drafting is stopped already.
        """
        with self._writing() as session:
            values = {"holds": True, "stopped_at": self.now(), "stopped_by": event.actor[:128]}
            held = stop_in_force(session)
            if held is not None or not self._insert_stop(session, reason=reason, **values):
                raise IllegalTransition("drafting is stopped already")
            stop = stop_in_force(session)
            if stop is None:
                raise IllegalTransition("drafting was started again meanwhile")
            self._hand_back_all(session, stop)
            self._end_questions(session)
            self._audit(session, event)
            return stop

    def _insert_stop(self, session: Session, **values: object) -> bool:
        return self._insert_new(session, DraftingStopRow, started_by="", **values)

    def _hand_back_all(self, session: Session, stop: DraftingStop) -> None:
        reading = select(JobRow.id).where(JobRow.state == JobState.IN_PROGRESS.value)
        values = {"attempts": JobRow.attempts - 1, "not_before": None, "published_at": None}
        change = Change(
            actor=stop.stopped_by,
            code=ReasonCode.DRAFTING_STOPPED,
            reason=stop.sentence,
            values=values,
        )
        for job_id in session.scalars(reading).all():
            try:
                self._move(session, job_id, JobState.IN_PROGRESS, Action.HAND_BACK, change)
            except IllegalTransition:
                continue  # its worker or a person was first

    def _end_questions(self, session: Session) -> None:
        ended = {
            "state": QuestionState.FAILED.value,
            "fault": QuestionFault.STOPPED.value,
            "reason": FAULT_TEXT[QuestionFault.STOPPED],
            "ended_at": self.now(),
            "updated_at": self.now(),
        }
        waiting = update(QuestionRow).where(is_open())
        changed_rows(session, waiting.values(**ended, **NO_LEASE))

    def start_drafting(self, event: AuditEvent) -> None:
        """Allow drafting again; the sweeper publishes the jobs that waited.

        Raises:
            IllegalTransition: Drafting is not stopped.
        """
        held = update(DraftingStopRow).where(DraftingStopRow.holds)
        ended = {"holds": False, "started_at": self.now(), "started_by": event.actor[:128]}
        with self._writing() as session:
            if not changed_rows(session, held.values(**ended)):
                raise IllegalTransition("drafting is not stopped")
            waiting = update(JobRow).where(JobRow.state == JobState.SCHEDULED.value)
            changed_rows(session, waiting.values(published_at=None))
            stopped = waiting.where(JobRow.reason_code == ReasonCode.DRAFTING_STOPPED)
            changed_rows(session, stopped.values(not_before=None, reason_code="", reason=""))
            self._audit(session, event)

    def requeue_stopped(self, *, limit: int = 200) -> int:
        """Let jobs wait again that got a notice while drafting was stopped; return how many.

        Of a stop that still holds, none. Called again until all are done, and for some minutes more: a
        worker may have begun a notice before drafting was started again.
        """
        with self._reading() as session:
            stop = _to_requeue(session)
            if stop is None or stop_in_force(session) is not None:
                return 0
            session.expunge(stop)
        noticed = (
            select(JobRow.id)
            .where(
                JobRow.state == JobState.NOT_ANALYSED.value,
                JobRow.reason_code == ReasonCode.DRAFTING_STOPPED,
                JobRow.updated_at >= stop.stopped_at,
                JobRow.removed_at.is_(None),
            )
            .limit(limit)
        )
        with self._writing() as session:
            if stop_in_force(session) is not None:
                return 0
            found = session.scalars(noticed).all()
            for job_id in found:
                self._requeue(session, job_id, stop.started_by)
            started = stop.started_at or self.now()
            if not found and self.now() >= started + _NOTICES_END:
                done = update(DraftingStopRow).where(DraftingStopRow.id == stop.id)
                changed_rows(session, done.values(requeued_at=self.now()))
            return len(found)

    def _requeue(self, session: Session, job_id: str, actor: str) -> None:
        afresh = {
            "attempts": 0,
            "first_error": "",
            "last_error": "",
            "not_before": None,
            "published_at": None,
            "produced_at": None,
        }
        change = Change(actor=actor, reason=_AGAIN.format(actor), values=afresh)
        try:
            self._move(session, job_id, JobState.NOT_ANALYSED, Action.RETRY, change)
        except IllegalTransition:
            return  # a person was first


def _to_requeue(session: Session) -> DraftingStopRow | None:
    """Return the oldest stop that has ended and whose jobs may not all wait again."""
    ended = select(DraftingStopRow).where(
        ~DraftingStopRow.holds, DraftingStopRow.requeued_at.is_(None)
    )
    return session.scalar(ended.order_by(DraftingStopRow.id).limit(1))
