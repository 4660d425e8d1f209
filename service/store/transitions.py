"""Changes of a job's state: each is one conditional UPDATE and one event, in one transaction."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import (
    Connection,
    CursorResult,
    Select,
    Update,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from service.database.tables import DeliveryRow, EventRow, InstanceRow, JobRow, StudyRow
from service.errors import LeaseLost, NotFound
from service.jobs import (
    VERIFIED,
    Action,
    Event,
    IllegalTransition,
    JobState,
    ReasonCode,
    next_state,
)
from service.store.audit.append import Audited

UNDRAFTED: Final = (JobState.SCHEDULED.value, JobState.IN_PROGRESS.value)
# In these states the job's results may be sent: a draft, or the notice that there is none.
DELIVERABLE: Final = (JobState.DRAFTED.value, JobState.NOT_ANALYSED.value)
# What a delivery holds: a job's results, a person's verified report, or a notice of doubt.
OF_RESULTS: Final = DeliveryRow.notice == ""
OF_REPORT: Final = DeliveryRow.notice.startswith(VERIFIED)
OF_DOUBT: Final = and_(~OF_RESULTS, ~OF_REPORT)
# A notice of doubt and a verified report are sent in every state of the job: a destination may hold the
# draft, and the report is a person's.
IS_SENDABLE: Final = or_(JobRow.state.in_(DELIVERABLE), DeliveryRow.notice != "")
NO_LEASE: Final[dict[str, Any]] = {"lease_owner": "", "lease_until": None}
# Made once: an alias of a table of forty columns costs more than the query.
_LATER: Final = aliased(JobRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a transition does besides changing the state.

    Attributes:
        actor: Process or person that does it, for the history.
        code: Machine-readable reason for the new state (`ReasonCode`).
        reason: The reason for a person, a sentence.
        fence: Number of the claim; the change fails after a later claim. None: not fenced.
        lapsed_at: Only if the lease ended at or before this time.
        values: Other columns to set.
    """

    actor: str
    code: str = ""
    reason: str = ""
    fence: int | None = None
    lapsed_at: datetime | None = None
    values: dict[str, Any] = field(default_factory=dict)


def later_drafts(row: JobRow | type[JobRow]) -> Select[str]:
    """Return the query for later revisions of a job that are DRAFTED or COMPLETED and not withdrawn.

    A draft of `row` must not be sent after these: a draft references earlier revisions only.

    Args:
        row: A job, or `JobRow` itself within a query for jobs.
    """
    return select(_LATER.id).where(
        _LATER.study_instance_uid == row.study_instance_uid,
        _LATER.model_name == row.model_name,
        _LATER.revision > row.revision,
        _LATER.state.in_((JobState.DRAFTED.value, JobState.COMPLETED.value)),
        _LATER.reason_code != ReasonCode.RECALLED,
    )


def changed_rows(session: Session, statement: Update) -> int:
    """Execute `statement`; return how many rows it changed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", result).rowcount


class Transitions(Audited):
    """Applies the transition table of `service.jobs` to rows."""

    def _move(
        self, session: Session, job_id: str, state: JobState, action: Action, change: Change
    ) -> JobState:
        """Apply `action` to the job if it is still in `state`; return its new state.

        Raises:
            LeaseLost: The change is fenced, and its claim no longer holds the job.
            IllegalTransition: The table does not allow it, or another process moved the job first.
        """
        target = next_state(state, action)
        columns = {
            "state": target.value,
            "updated_at": self.now(),
            "reason_code": str(change.code),
            "reason": change.reason,
            **(NO_LEASE if state is JobState.IN_PROGRESS else {}),
            **change.values,
        }
        # The UPDATE checks state and fence itself: a check before it could be outdated by then.
        if not changed_rows(session, _update_if_unchanged(job_id, state, change).values(**columns)):
            if change.fence is not None:
                raise LeaseLost(f"job {job_id[:8]}: claim {change.fence} no longer holds it")
            raise IllegalTransition(f"a job that is no longer {state} cannot {action}")
        states = (state, target)
        self._event(session, job_id, action, change.actor, states, change.reason, code=change.code)
        if state.value in UNDRAFTED and target.value not in UNDRAFTED:
            self._wake_later_revisions(session, job_id)
        return target

    def _event(
        self,
        session: Session | Connection,
        job_id: str,
        action: Action | Event,
        actor: str,
        states: tuple[JobState | None, JobState],
        reason: str,
        *,
        code: str = "",
    ) -> None:
        before, after = states
        session.execute(
            insert(EventRow).values(
                job_id=job_id,
                at=self.now(),
                actor=actor,
                action=action.value,
                from_state=before.value if before else None,
                to_state=after.value,
                reason=reason,
                code=str(code),
            )
        )

    def _wake_later_revisions(self, session: Session, job_id: str) -> None:
        """Make the sweeper publish the later revisions, which had to wait until this one was read."""
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
        # `changed_rows` bypasses the session, so a row that it holds may be outdated: read it again.
        row = session.get(JobRow, job_id, populate_existing=True)
        if row is None:
            raise NotFound(f"there is no job {job_id[:8]}")
        return row

    def _lock_study(self, session: Session, study_uid: str) -> StudyRow:
        """Lock and return the study's row: no other transaction makes or claims its jobs meanwhile."""
        row = session.get(StudyRow, study_uid, with_for_update=True, populate_existing=True)
        if row is None:
            raise NotFound(f"there is no study {study_uid}")
        return row

    def _newest_instance(self, session: Session, study_uid: str) -> int | None:
        newest: int | None = session.scalar(
            select(func.max(InstanceRow.id)).where(
                InstanceRow.study_instance_uid == study_uid, ~InstanceRow.conflict
            )
        )
        return newest


def _update_if_unchanged(job_id: str, state: JobState, change: Change) -> Update:
    statement = update(JobRow).where(JobRow.id == job_id, JobRow.state == state.value)
    if change.fence is not None:
        statement = statement.where(JobRow.fence == change.fence)
    if change.lapsed_at is not None:
        statement = statement.where(JobRow.lease_until <= change.lapsed_at)
    return statement
