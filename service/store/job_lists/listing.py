"""Queries of the queue's page: lists of jobs by filter, bounded counts, failures by cause."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, func, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from service.database.tables import DeliveryRow, JobRow
from service.errors import NotFound
from service.jobs import ALARMS, DraftStatus, JobState, ReasonCode
from service.records import Job
from service.store import record_mapping
from service.store.doubts import alarmed
from service.store.job_lists.criteria import (
    JobFilter,
    conditions,
    has_failed,
    has_reason,
    in_states,
)
from service.store.job_lists.time_limit import time_limit
from service.store.probe_exclusion import not_a_probe, probe_studies
from service.store.session import Transactions
from service.store.transitions import OF_RESULTS

# Jobs of one state are counted up to here.
MOST_COUNTED: Final = 10_000
# So many of the latest failures are grouped, and so many groups are returned.
MOST_FAILURES: Final = 2_000
_MOST_GROUPS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed jobs with one cause and, if they could not be delivered, one destination.

    Attributes:
        cause: Code of the reason.
        destination: The destination that did not take them; "" if they failed before delivery.
        count: The number of jobs, of the latest `MOST_FAILURES` failures.
        first_at: When the first of them failed.
        reason: The reason of the latest one, a sentence.
        is_cut: Whether there are older failures, which were not counted.
    """

    cause: str
    destination: str
    count: int
    first_at: datetime
    reason: str
    is_cut: bool


class JobLists(Transactions):
    """The part of the store for the queue's page."""

    def list_jobs(
        self,
        wanted: JobFilter,
        *,
        limit: int,
        before: str = "",
        oldest_first: bool = False,
    ) -> list[Job]:
        """Return the jobs that match, without their drafts, the newest first.

        Args:
            wanted: The filter.
            limit: Most jobs to return.
            before: Only jobs older than the job with this id: the next page.
            oldest_first: The other order.

        Raises:
            NotFound: There is no job with the id `before`.
            QueryTooSlow: The query exceeded its time limit.
        """
        with self._limited() as session:
            query = select(JobRow).options(record_mapping.NO_DRAFT).limit(limit)
            query = query.where(*conditions(session, wanted))
            if before:
                query = query.where(
                    tuple_(JobRow.created_at, JobRow.id) < tuple_(*_mark(session, before))
                )
            order = (JobRow.created_at, JobRow.id)
            query = query.order_by(*(order if oldest_first else (each.desc() for each in order)))
            return record_mapping.jobs(session.scalars(query))

    def jobs_of(self, job_ids: Collection[str]) -> list[Job]:
        """Return the jobs with these ids, without their drafts, the oldest first."""
        query = select(JobRow).options(record_mapping.NO_DRAFT).where(JobRow.id.in_(job_ids))
        with self._limited() as session:
            return record_mapping.jobs(
                session.scalars(query.order_by(JobRow.created_at, JobRow.id))
            )

    def bounded_counts(self) -> dict[JobState | DraftStatus, int]:
        """Return the number of jobs by state and by alarm, each at most `MOST_COUNTED` + 1.

        Jobs of end-to-end checks are not counted.
        """
        wanted: dict[JobState | DraftStatus, Select[str]] = {
            state: select(JobRow.id).where(in_states([state])) for state in JobState
        }
        wanted |= {status: select(JobRow.id).where(*alarmed(status)) for status in ALARMS}
        with self._limited() as session:
            # Subtracted, so that the counts read indexes only.
            checks = _jobs_of_checks(session)
            return {
                key: _bounded_count(session, query, MOST_COUNTED + checks[key]) - checks[key]
                for key, query in wanted.items()
            }

    def urgent_waiting(self) -> dict[str, int]:
        """Return the number of urgent jobs that are due and wait, by model."""
        now = self.now()
        due = or_(JobRow.not_before.is_(None), JobRow.not_before <= now)
        query = select(JobRow.model_name, func.count()).where(
            in_states([JobState.SCHEDULED]), JobRow.urgent, due
        )
        with self._limited() as session:
            found = session.execute(query.group_by(JobRow.model_name))
            return {model: count for model, count in found}  # noqa: C416 - rows are no pairs

    def failure_groups(self) -> list[FailureGroup]:
        """Return the latest failures by cause and destination, the largest group first."""
        with self._limited() as session:
            failed = select(JobRow.id).where(in_states([JobState.FAILED]))
            is_cut = _bounded_count(session, failed, MOST_FAILURES) > MOST_FAILURES
            found = [*session.execute(_failed_readings()), *session.execute(_failed_deliveries())]
            found.sort(key=lambda group: (-group[2], group[0], group[1]))
            return [
                FailureGroup(
                    cause=cause,
                    destination=destination,
                    count=count,
                    first_at=first_at,
                    reason=_latest_reason(session, cause, destination),
                    is_cut=is_cut,
                )
                for cause, destination, count, first_at in found[:_MOST_GROUPS]
            ]

    @contextmanager
    def _limited(self) -> Iterator[Session]:
        """Open a reading transaction whose queries have the time limit of a page."""
        with self._reading() as session, time_limit(session):
            yield session


_Groups = Select[str, str, int, datetime]


def _failed_readings() -> _Groups:
    """Return the query for the latest failures before delivery: cause, "", number, first time."""
    latest = (
        select(JobRow.reason_code, JobRow.updated_at)
        .where(
            in_states([JobState.FAILED]),
            has_reason(),
            JobRow.reason_code != ReasonCode.NOT_DELIVERED.value,
            not_a_probe(JobRow.study_instance_uid),
        )
        .order_by(JobRow.created_at.desc(), JobRow.id.desc())
        .limit(MOST_FAILURES)
        .subquery()
    )
    number, first_at = func.count(), func.min(latest.c.updated_at)
    return select(latest.c.reason_code, literal(""), number, first_at).group_by(
        latest.c.reason_code
    )


def _failed_deliveries() -> _Groups:
    """Return the same for the latest failed deliveries, by destination."""
    latest = (
        select(DeliveryRow.job_id, DeliveryRow.destination)
        .where(has_failed(), OF_RESULTS)
        .order_by(DeliveryRow.id.desc())
        .limit(MOST_FAILURES)
        .subquery()
    )
    number, first_at = func.count(), func.min(JobRow.updated_at)
    return (
        select(JobRow.reason_code, latest.c.destination, number, first_at)
        .join(latest, latest.c.job_id == JobRow.id)
        .where(
            in_states([JobState.FAILED]),
            JobRow.reason_code == ReasonCode.NOT_DELIVERED.value,
            not_a_probe(JobRow.study_instance_uid),
        )
        .group_by(JobRow.reason_code, latest.c.destination)
    )


def _mark(session: Session, job_id: str) -> Sequence[object]:
    """Return the place of a job in the order of the lists."""
    mark = session.execute(
        select(JobRow.created_at, JobRow.id).where(JobRow.id == job_id)
    ).one_or_none()
    if mark is None:
        raise NotFound(f"there is no job {job_id[:32]!a}")
    return tuple(mark)


def _jobs_of_checks(session: Session) -> Counter[str]:
    """Return the number of jobs of end-to-end checks by state; these have no alarm."""
    by_state = select(JobRow.state, func.count()).group_by(JobRow.state)
    found = session.execute(by_state.where(JobRow.study_instance_uid.in_(probe_studies())))
    return Counter({state: count for state, count in found})  # noqa: C416 - rows are no pairs


def _bounded_count(session: Session, query: Select[str], most: int) -> int:
    bounded = query.limit(most + 1).subquery()
    return session.scalar(select(func.count()).select_from(bounded)) or 0


def _latest_reason(session: Session, cause: str, destination: str) -> str:
    wanted = JobFilter(states=(JobState.FAILED,), cause=cause, destination=destination)
    latest = select(JobRow.reason).where(*conditions(session, wanted))
    order = (JobRow.created_at.desc(), JobRow.id.desc())
    return session.scalar(latest.order_by(*order).limit(1)) or ""
