"""What has failed and is not repaired, grouped by cause and destination."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from service.database.tables import DeliveryRow, JobRow
from service.jobs import DeliveryState, JobState, ReasonCode
from service.store.session import Transactions
from service.store.transitions import OF_DOUBT, OF_REPORT

_MOST_GROUPS: Final = 50


class FailedKind(StrEnum):
    """What could not be done."""

    JOB = "job"  # the job is FAILED
    REPORT = "verified report"  # it could not be delivered
    NOTICE = "notice"  # that a draft is in doubt, or that a study was not analyzed


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of the same kind and cause, at the same destination.

    Attributes:
        cause: The code of the cause, see `service.jobs.ReasonCode`.
        destination: The destination that did not accept results; "" if the reading failed.
        first_at: When the earliest of them failed.
        last_at: When the latest of them failed.
        job_id: The job that failed last.
        error: Why that one failed, a sentence.
    """

    kind: FailedKind
    cause: str
    destination: str
    count: int
    first_at: datetime
    last_at: datetime
    job_id: str
    error: str


class FailureGroups(Transactions):
    """The part of the store for failures that wait for a person."""

    def open_failures(self) -> list[FailureGroup]:
        """Return the failures that are not repaired, the largest group first.

        A job that two destinations did not accept is in two groups. Jobs whose files were removed after
        their retention are left out: they cannot be tried again.
        """
        with self._reading() as session:
            groups = [*_readings(session), *_deliveries(session)]
        return sorted(groups, key=lambda each: (-each.count, each.cause, each.destination))


_FAILED: Final = JobRow.state == JobState.FAILED.value
_KEPT: Final = JobRow.removed_at.is_(None)
_NOT_DELIVERED: Final = ReasonCode.NOT_DELIVERED.value


_KIND: Final = case(
    (OF_REPORT, FailedKind.REPORT.value),
    (OF_DOUBT, FailedKind.NOTICE.value),
    (JobRow.state == JobState.NOT_ANALYSED.value, FailedKind.NOTICE.value),
    (and_(_FAILED, JobRow.reason_code == _NOT_DELIVERED), FailedKind.JOB.value),
)


def _readings(session: Session) -> list[FailureGroup]:
    """Return the groups of jobs that failed before a delivery, by cause."""
    failed = (_FAILED, _KEPT, JobRow.reason_code != _NOT_DELIVERED)
    grouped = (
        select(
            JobRow.reason_code,
            func.count(),
            func.min(JobRow.updated_at),
            func.max(JobRow.updated_at),
        )
        .where(*failed)
        .group_by(JobRow.reason_code)
        .order_by(func.count().desc())
        .limit(_MOST_GROUPS)
    )
    found = []
    for cause, count, first, last in session.execute(grouped).all():
        job_id, error = _latest_job(session, (*failed, JobRow.reason_code == cause))
        found.append(
            FailureGroup(
                kind=FailedKind.JOB,
                cause=cause,
                destination="",
                count=count,
                first_at=first,
                last_at=last,
                job_id=job_id,
                error=error,
            )
        )
    return found


def _latest_job(session: Session, conditions: tuple[ColumnElement[bool], ...]) -> tuple[str, str]:
    chosen = select(JobRow.id, JobRow.reason).where(*conditions)
    row = session.execute(chosen.order_by(JobRow.updated_at.desc()).limit(1)).one()
    return row.id, row.reason


def _deliveries(session: Session) -> list[FailureGroup]:
    """Return the groups of failed deliveries, by what was not delivered and by destination."""
    # Of a delivery that failed without an attempt, only its job knows when.
    at = func.coalesce(DeliveryRow.failed_at, JobRow.updated_at, type_=JobRow.updated_at.type)
    # The latest is that of the highest id: to sort all by time would take as long as to group them.
    columns = (func.count(), func.min(at), func.max(at), func.max(DeliveryRow.id))
    grouped = (
        select(_KIND, DeliveryRow.destination, *columns)
        .join(JobRow, JobRow.id == DeliveryRow.job_id)
        .where(DeliveryRow.state == DeliveryState.FAILED.value, _KEPT)
        .group_by(_KIND, DeliveryRow.destination)
        .order_by(func.count().desc())
        .limit(_MOST_GROUPS)
    )
    found = []
    for kind, name, count, first, last, latest in session.execute(grouped).all():
        if kind is None:
            continue  # the job is still being delivered, or was canceled
        row = session.get_one(DeliveryRow, latest)
        found.append(
            FailureGroup(
                kind=FailedKind(kind),
                cause=_NOT_DELIVERED,
                destination=name,
                count=count,
                first_at=first,
                last_at=last,
                job_id=row.job_id,
                error=row.last_error,
            )
        )
    return found
