"""Verified reports and notices that a destination did not accept, and that are not sent again."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import CTE, case, func, select, union_all

from service.database.tables import DeliveryRow, JobRow
from service.jobs import JobState
from service.store.job_lists.criteria import has_failed, in_states
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions
from service.store.transitions import OF_REPORT, OF_RESULTS

_MOST_GROUPS: Final = 50


class UndeliveredKind(StrEnum):
    """What a destination did not accept."""

    REPORT = "verified report"
    NOTICE = "notice"  # that a draft is in doubt, or that a study was not analyzed


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeliveredGroup:
    """Failed deliveries of one kind to one destination.

    Attributes:
        first_at: When the earliest of them failed.
        job_id: The job of the latest.
        error: Why that one failed, a sentence.
    """

    kind: UndeliveredKind
    destination: str
    count: int
    first_at: datetime
    job_id: str
    error: str


_KIND: Final = case((OF_REPORT, UndeliveredKind.REPORT.value), else_=UndeliveredKind.NOTICE.value)


class Undelivered(Transactions):
    """The part of the store for failed deliveries that are not the results of a failed job."""

    def undelivered_groups(self) -> list[UndeliveredGroup]:
        """Return the groups, the largest first; those whose files were removed are left out.

        The results of failed jobs are groups of `JobLists.failure_groups`.
        """
        # Of a delivery that failed without an attempt, only its job knows when.
        at = func.coalesce(DeliveryRow.failed_at, JobRow.updated_at, type_=JobRow.updated_at.type)
        undelivered = _undelivered()
        grouped = (
            # The latest is that of the highest id: to sort all by time would take as long again.
            select(
                _KIND, DeliveryRow.destination, func.count(), func.min(at), func.max(DeliveryRow.id)
            )
            .join(undelivered, undelivered.c.id == DeliveryRow.id)
            .join(JobRow, JobRow.id == DeliveryRow.job_id)
            .where(JobRow.removed_at.is_(None), not_a_probe(JobRow.study_instance_uid))
            .group_by(_KIND, DeliveryRow.destination)
            .order_by(func.count().desc(), DeliveryRow.destination)
            .limit(_MOST_GROUPS)
        )
        found = []
        with self._reading() as session:
            for kind, name, count, first, latest in session.execute(grouped).all():
                row = session.get_one(DeliveryRow, latest)
                found.append(
                    UndeliveredGroup(
                        kind=UndeliveredKind(kind),
                        destination=name,
                        count=count,
                        first_at=first,
                        job_id=row.job_id,
                        error=row.last_error,
                    )
                )
        return found


def _undelivered() -> CTE:
    """Return the ids of the failed deliveries that are not the results of a failed job.

    They are found in two indexes without reading a row of either table. In one condition with an OR,
    PostgreSQL would read all jobs. Most failed deliveries are those of failed jobs.
    """
    failed = select(DeliveryRow.id).where(has_failed())
    of_no_draft = select(JobRow.id).where(in_states([JobState.NOT_ANALYSED]))
    found = union_all(
        failed.where(DeliveryRow.notice > ""),
        failed.where(OF_RESULTS, DeliveryRow.job_id.in_(of_no_draft)),
    )
    return found.cte("undelivered").prefix_with("MATERIALIZED", dialect="postgresql")
