"""One action on many jobs, with one record in the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.tables import JobRow
from service.errors import NotFound, SelectionError
from service.jobs import JOB_NAMES, IllegalTransition, JobState
from service.sentence import sentence_of
from service.store.operator.actions import OperatorActions
from service.store.operator.repeats import Repeats

# Most jobs of one batch.
MOST: Final = 1000
# The audit record has room for the ids of about so many jobs, by their first 8 digits.
_NAMED: Final = 25
_WAITING: Final = (JobState.SCHEDULED, JobState.IN_PROGRESS)


class BatchAction(StrEnum):
    """What is done with each job of a batch."""

    RETRY = "retry"
    CANCEL = "cancel"
    URGENT = "urgent"
    RESEND = "resend"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """A request to act on many jobs.

    Attributes:
        action: What is done with each.
        jobs: Id of each job, and its state when the jobs were counted; at most `MOST`.
        to: The only destination of a "resend"; all of a job's when "".
        actor: Who requests it.
        reason: Why, for the jobs' history.
        audit: The record for the audit trail; its detail names the filter.
    """

    action: BatchAction
    jobs: Sequence[tuple[str, JobState]]
    to: str = ""
    actor: str
    reason: str = ""
    audit: AuditEvent | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of a batch.

    Attributes:
        done: Ids of the jobs that were changed.
        refused: Ids of the jobs that were not, by the reason, a sentence.
    """

    done: list[str] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)


class Batches(OperatorActions, Repeats):
    """The part of the store that acts on many jobs."""

    def run_batch(self, order: BatchOrder) -> BatchResult:
        """Act on each job that is still in the state in which it was counted; return the outcome.

        All changes and the record of the audit trail are one transaction: after a crash, either all
        are stored or none.

        Raises:
            SelectionError: There are more than `MOST` jobs, or none.
        """
        if not 0 < len(order.jobs) <= MOST:
            raise SelectionError(f"a batch holds 1 to {MOST:,} jobs, not {len(order.jobs):,}")
        result = BatchResult()
        with self._writing() as session:
            # In the order of ids: two batches at once lock their rows in the same order.
            for job_id, counted in sorted(dict(order.jobs).items()):
                if refusal := self._refusal(session, order, job_id, counted):
                    result.refused.setdefault(refusal, []).append(job_id)
                else:
                    result.done.append(job_id)
            self._audit(session, order.audit, detail=_detail(order, result))
        return result

    def _refusal(self, session: Session, order: BatchOrder, job_id: str, counted: JobState) -> str:
        """Act on one job; return why not, or ""."""
        try:
            # A savepoint: nothing of a refused action remains.
            with session.begin_nested():
                self._check_unchanged(session, job_id, counted)
                self._apply(session, order, job_id)
        except (IllegalTransition, NotFound) as error:
            return sentence_of(error)
        return ""

    def _check_unchanged(self, session: Session, job_id: str, counted: JobState) -> None:
        # Without the draft, and locked until the end of the transaction.
        query = select(JobRow.state).where(JobRow.id == job_id).with_for_update()
        found = session.scalar(query)
        if found is None:
            raise NotFound(f"there is no job {job_id[:8]}")
        state = JobState(found)
        if state is not counted:
            raise IllegalTransition(
                f"it has changed since it was counted: from {JOB_NAMES[counted]} to "
                f"{JOB_NAMES[state]}"
            )

    def _apply(self, session: Session, order: BatchOrder, job_id: str) -> None:
        match order.action:
            case BatchAction.RETRY:
                self._retry_job(session, job_id, order.actor)
            case BatchAction.CANCEL:
                self._cancel_job(session, job_id, order.actor, order.reason)
            case BatchAction.URGENT:
                self._check_waits(session, job_id)
                self._make_job_urgent(session, job_id, order.actor)
            case BatchAction.RESEND:
                to = (order.to,) if order.to else ()
                self._resend_job(session, job_id, order.actor, to=to, reason=order.reason)

    def _check_waits(self, session: Session, job_id: str) -> None:
        if JobState(self._row(session, job_id).state) not in _WAITING:
            raise IllegalTransition("it does not wait to be read")


def _detail(order: BatchOrder, result: BatchResult) -> str:
    """Return the detail of the audit record: numbers, filter, and the first jobs."""
    asked = order.audit.detail if order.audit else ""
    named = " ".join(job_id[:8] for job_id in result.done[:_NAMED])
    more = " …" if len(result.done) > _NAMED else ""
    return f"{len(result.done)} of {len(order.jobs)} jobs; {asked}; {named}{more}"
