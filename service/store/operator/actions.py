"""Actions of a person on a job: cancel, withdraw its results, try again, make urgent."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from service.audit import AuditEvent
from service.database.spooled_images import has_images
from service.database.tables import DeliveryRow, JobRow
from service.jobs import (
    Action,
    DeliveryState,
    Event,
    IllegalTransition,
    JobState,
    ReasonCode,
    allowed,
)
from service.records import Job, UnderWay
from service.store import record_mapping
from service.store.doubts import compare_again
from service.store.drift.owed import OwedDeliveries
from service.store.transitions import (
    NO_LEASE,
    OF_DOUBT,
    OF_REPORT,
    OF_RESULTS,
    Change,
    changed_rows,
    later_drafts,
)

_AFRESH: Final[dict[str, Any]] = {
    "attempts": 0,
    "first_error": "",
    "last_error": "",
    "not_before": None,
    "published_at": None,
}
_OPEN: Final = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


class OperatorActions(OwedDeliveries):
    """Cancel, withdraw, retry, make urgent; the job's history names the person (`actor`)."""

    def cancel(
        self, job_id: str, actor: str, reason: str = "", audit: AuditEvent | None = None
    ) -> Job:
        """Cancel the job; return it. A worker that holds it loses its lease and writes nothing.

        Raises:
            NotFound: There is no such job.
            IllegalTransition: It has ended in a state other than FAILED.
        """
        with self._writing() as session:
            self._cancel_job(session, job_id, actor, reason)
            return self._audited_job(session, job_id, audit)

    def _cancel_job(self, session: Session, job_id: str, actor: str, reason: str) -> None:
        sentence = reason or f"Canceled by {actor}."
        row = self._row(session, job_id)
        # A withheld draft stays hidden: a later revision of the study may be withheld too.
        is_withheld = row.reason_code == ReasonCode.WITHHELD
        code = ReasonCode.WITHHELD if is_withheld else ReasonCode.CANCELED
        self._cancel(session, row, Change(actor=actor, code=code, reason=sentence))

    def _cancel(self, session: Session, row: JobRow, change: Change) -> None:
        values: dict[str, Any] = {}
        # What was received so far counts as read: it must not make a new revision (`scheduling`).
        if row.state == JobState.SCHEDULED.value and row.read_through is None:
            values["read_through"] = self._newest_instance(session, row.study_instance_uid)
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
            OF_DOUBT,
            DeliveryRow.state.in_(_OPEN),
            ~begun.exists(),
        )
        changed_rows(session, needless.values(state=DeliveryState.CANCELED.value, **NO_LEASE))

    def withdraw(
        self, job_id: str, actor: str, reason: str, audit: AuditEvent | None = None
    ) -> UnderWay:
        """Mark the job's results as withdrawn for this reason; none of them is sent from now on.

        Returns:
            The deliveries that were being sent: these may still arrive.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            # The job's row is locked before its deliveries, as where a delivery ends: no deadlock.
            session.get(JobRow, job_id, with_for_update=True)
            sending = self._under_way(session, job_id)
            row = self._row(session, job_id)
            before = JobState(row.state)
            if Action.CANCEL in allowed(before):
                self._cancel(
                    session, row, Change(actor=actor, code=ReasonCode.RECALLED, reason=reason)
                )
                row = self._row(session, job_id)
            else:
                row.reason_code, row.reason, row.updated_at = (
                    ReasonCode.RECALLED,
                    reason,
                    self.now(),
                )
                session.flush()
                self._set_deliveries(session, job_id, _OPEN, DeliveryState.CANCELED)
            # The notice of the withdrawal replaces the notice of doubt.
            self._set_deliveries(session, job_id, _OPEN, DeliveryState.CANCELED, notices=True)
            self._event(session, job_id, Event.RECALL, actor, (before, JobState(row.state)), reason)
            self._audit(session, audit, study_uid=row.study_instance_uid, job_id=job_id)
            return sending

    def _under_way(self, session: Session, job_id: str) -> UnderWay:
        """Return where a job and its notices are being sent; locks them, so no claim begins or ends."""
        found = session.execute(
            select(DeliveryRow.destination, DeliveryRow.state, DeliveryRow.notice)
            .where(DeliveryRow.job_id == job_id, ~OF_REPORT)
            .with_for_update()
        )
        sending = [row for row in found if row.state == DeliveryState.SENDING]
        return UnderWay(
            results=frozenset(row.destination for row in sending if not row.notice),
            notices=frozenset(row.destination for row in sending if row.notice),
        )

    def retry(self, job_id: str, actor: str, audit: AuditEvent | None = None) -> Job:
        """Deliver the job again if it has a draft, else read it again; return it.

        If only notices of a delivered draft failed, these are made due. If retention removed the files
        of a job without a draft, it is read again, provided that its Instances came again. The sweeper
        publishes it at its next look.

        Raises:
            NotFound: There is no such job.
            IllegalTransition: It has not ended, has been delivered, was withdrawn, its files were
                removed, or the draft of a later revision stands.
        """
        with self._writing() as session:
            self._retry_job(session, job_id, actor)
            return self._audited_job(session, job_id, audit)

    def _retry_job(self, session: Session, job_id: str, actor: str) -> None:
        row = self._row(session, job_id)
        state = JobState(row.state)
        if self._retry_notices(session, row):
            return
        gone = row.removed_at is not None
        self._check_retry(session, row)
        redeliver = row.draft is not None and Action.REDELIVER in allowed(state)
        values = _AFRESH | {"removed_at": None}
        if gone:
            # Instances that come again have new ids: the job reads what is here at its claim.
            values["read_through"] = None
        if row.draft is None:
            # No result of this revision was sent, so its results may get a new time.
            values["produced_at"] = None
        change = Change(actor=actor, reason=f"Tried again by {actor}.", values=values)
        action = Action.REDELIVER if redeliver else Action.RETRY
        self._move(session, job_id, state, action, change)
        if redeliver:
            compare_again(session, record_mapping.drafted_image(row))
            ended = (DeliveryState.FAILED.value, DeliveryState.CANCELED.value)
            self._set_deliveries(session, job_id, ended, DeliveryState.PENDING)
            if row.doubt:
                self._set_deliveries(session, job_id, ended, DeliveryState.PENDING, notices=True)
            # A draft that was canceled while it was withheld has no deliveries yet.
            self._send_owed(session, job_id)

    def _check_retry(self, session: Session, row: JobRow) -> None:
        gone = row.removed_at is not None
        if gone and not has_images(session, row.study_instance_uid):
            raise IllegalTransition("the files of this job were removed: send the study again")
        if gone and row.draft is not None:
            # Texts under review and decisions belong to the job: they would count for its next draft.
            raise IllegalTransition(
                "the files of this job's draft were removed: have the study read again"
            )
        if row.reason_code == ReasonCode.RECALLED:
            raise IllegalTransition(
                "the draft of this job was withdrawn: have the study read again"
            )
        if session.scalar(later_drafts(row).limit(1)) is not None:
            raise IllegalTransition(
                "a later revision of this job has a draft, which replaces this one"
            )

    def _audited_job(self, session: Session, job_id: str, audit: AuditEvent | None) -> Job:
        """Append the record of a change to a job, and return the changed job."""
        job = record_mapping.job(self._row(session, job_id))
        self._audit(session, audit, study_uid=job.study_instance_uid, job_id=job.id)
        return job

    def _retry_notices(self, session: Session, row: JobRow) -> bool:
        """Make the failed notices of a delivered draft due; return whether there were any."""
        if row.state != JobState.COMPLETED.value or row.reason_code == ReasonCode.RECALLED:
            return False
        failed = (DeliveryState.FAILED.value,)
        return bool(
            self._set_deliveries(session, row.id, failed, DeliveryState.PENDING, notices=True)
        )

    def _set_deliveries(
        self,
        session: Session,
        job_id: str,
        states: Sequence[str],
        target: DeliveryState,
        *,
        notices: bool = False,
    ) -> int:
        """Set the state of a job's deliveries of results, or of notices; return how many changed."""
        afresh = (
            _AFRESH | {"created_at": self.now(), "lapses": 0, "unlisted": 0, "read_back": None}
            if target is DeliveryState.PENDING
            else {}
        )
        kind = OF_DOUBT if notices else OF_RESULTS
        return changed_rows(
            session,
            update(DeliveryRow)
            .where(DeliveryRow.job_id == job_id, DeliveryRow.state.in_(states), kind)
            .values(state=target.value, lease_owner="", lease_until=None, **afresh),
        )

    def make_urgent(self, job_id: str, actor: str, audit: AuditEvent | None = None) -> Job:
        """Make the job urgent; return it. The sweeper publishes it again, before others.

        Raises:
            NotFound: There is no such job.
        """
        with self._writing() as session:
            self._make_job_urgent(session, job_id, actor)
            return self._audited_job(session, job_id, audit)

    def _make_job_urgent(self, session: Session, job_id: str, actor: str) -> None:
        row = self._row(session, job_id)
        if not row.urgent:
            state = JobState(row.state)
            row.urgent, row.updated_at, row.published_at = True, self.now(), None
            session.flush()
            self._event(session, job_id, Event.MAKE_URGENT, actor, (state, state), "")
