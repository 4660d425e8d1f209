"""Failures that are not repaired, as lines: how many, of what, since when, and where they are listed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from service.jobs import JobState
from service.sentence import ended
from service.store.job_lists.listing import FailureGroup
from service.store.throughput.undelivered import UndeliveredGroup, UndeliveredKind
from service.web.overview.words import cause_words

_UNDELIVERED: Final = {
    UndeliveredKind.REPORT: "Verified report not delivered to {}",
    UndeliveredKind.NOTICE: "Notice not delivered to {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLine:
    """Failures of the same cause and destination.

    Attributes:
        url: From the root: the queue with these jobs, or the job that failed last.
        link: The words of the link.
        error: Why the latest one failed, a sentence.
        destination: Its name; "" if the jobs did not fail at one.
    """

    count: int
    words: str
    first_at: datetime
    error: str
    url: str
    link: str
    destination: str


def failure_lines(
    failed: Iterable[FailureGroup], undelivered: Iterable[UndeliveredGroup]
) -> Sequence[FailureLine]:
    """Return a line for each group of failed jobs and of failed deliveries, the largest first."""
    lines = [*map(_of_jobs, failed), *map(_of_deliveries, undelivered)]
    return sorted(lines, key=lambda each: -each.count)


def _of_jobs(group: FailureGroup) -> FailureLine:
    words = cause_words(group.cause)
    asked = {
        "state": JobState.FAILED.value,
        "cause": group.cause,
        "destination": group.destination,
    }
    return FailureLine(
        count=group.count,
        words=f"{words} to {group.destination}" if group.destination else words,
        first_at=group.first_at,
        error=ended(group.reason) if group.reason else "",
        url=f"queue?{urlencode({key: value for key, value in asked.items() if value})}",
        link="Show and retry",
        destination=group.destination,
    )


def _of_deliveries(group: UndeliveredGroup) -> FailureLine:
    return FailureLine(
        count=group.count,
        words=_UNDELIVERED[group.kind].format(group.destination),
        first_at=group.first_at,
        error=ended(group.error) if group.error else "",
        url=f"jobs/{group.job_id}",
        link="Show the latest",
        destination=group.destination,
    )
