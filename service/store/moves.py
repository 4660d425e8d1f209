"""Every change of a job's state: one conditional UPDATE and its event, in one transaction."""

from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Update, func, insert, select, update
from sqlalchemy.orm import Session

from service.errors import LeaseLost, NotFound
from service.jobs import Action, IllegalTransition, JobState, next_state
from service.models import EventRow, InstanceRow, JobRow, StudyRow
from service.store.session import Transactions

UNDRAFTED: Final = (JobState.SCHEDULED.value, JobState.IN_PROGRESS.value)
NO_LEASE: Final[dict[str, Any]] = {"lease_owner": "", "lease_until": None}


def changed_rows(session: Session, statement: Update) -> int:
    """Execute `statement`; return how many rows it changed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", result).rowcount


class Moves(Transactions):
    """Applies the transition table to rows."""

    def _move(
        self,
        session: Session,
        job_id: str,
        action: Action,
        *,
        state: JobState,
        actor: str,
        fence: int | None = None,
        code: str = "",
        reason: str = "",
        lapsed_at: datetime | None = None,
        values: dict[str, Any] | None = None,
    ) -> JobState:
        """Apply `action` to the job if it is still in `state`; return its new state.

        Args:
            fence: The claim in whose name this happens; a later claim makes it fail.
            code: Machine word for the new state.
            reason: The same for a person.
            lapsed_at: Only if the lease ended before this time.
            values: Other columns to set.

        Raises:
            LeaseLost: `fence` was given, and the job is no longer held by that claim.
            IllegalTransition: The table has no such way, or somebody else moved the job first.
        """
        target = next_state(state, action)
        columns = {
            "state": target.value,
            "updated_at": self.now(),
            "reason_code": code,
            "reason": reason,
            **(NO_LEASE if state is JobState.IN_PROGRESS else {}),
            **(values or {}),
        }
        wanted = update(JobRow).where(JobRow.id == job_id, JobRow.state == state.value)
        if fence is not None:
            wanted = wanted.where(JobRow.fence == fence)
        if lapsed_at is not None:
            wanted = wanted.where(JobRow.lease_until <= lapsed_at)
        if not changed_rows(session, wanted.values(**columns)):
            if fence is not None:
                raise LeaseLost(f"job {job_id[:8]}: claim {fence} holds it no longer")
            raise IllegalTransition(f"a job that is no longer {state} cannot {action}")
        self._event(session, job_id, action, actor, state, target, reason)
        if state in (JobState.SCHEDULED, JobState.IN_PROGRESS) and target.value not in UNDRAFTED:
            self._wake_later_revisions(session, job_id)
        return target

    def _event(
        self,
        session: Session,
        job_id: str,
        action: str,
        actor: str,
        before: JobState | None,
        after: JobState,
        reason: str,
    ) -> None:
        session.execute(
            insert(EventRow).values(
                job_id=job_id,
                at=self.now(),
                actor=actor,
                action=str(action),
                from_state=before.value if before else None,
                to_state=after.value,
                reason=reason,
            )
        )

    def _wake_later_revisions(self, session: Session, job_id: str) -> None:
        """Let the sweeper publish at once what waited for this revision to be read."""
        row = self._row(session, job_id)
        changed_rows(
            session,
            update(JobRow)
            .where(
                JobRow.study_instance_uid == row.study_instance_uid,
                JobRow.model_name == row.model_name,
                JobRow.revision > row.revision,
                JobRow.state == JobState.SCHEDULED.value,
            )
            .values(published_at=None),
        )

    def _row(self, session: Session, job_id: str) -> JobRow:
        row = session.get(JobRow, job_id, populate_existing=True)
        if row is None:
            raise NotFound(f"there is no job {job_id[:8]}")
        return row

    def _lock_study(self, session: Session, study_uid: str) -> StudyRow:
        """Return the study's row; nobody else schedules or claims for it until the transaction ends."""
        row = session.get(StudyRow, study_uid, with_for_update=True, populate_existing=True)
        if row is None:
            raise NotFound(f"there is no study {study_uid}")
        return row

    def _newest_film(self, session: Session, study_uid: str) -> int | None:
        newest: int | None = session.scalar(
            select(func.max(InstanceRow.id)).where(
                InstanceRow.study_instance_uid == study_uid, ~InstanceRow.conflict
            )
        )
        return newest
