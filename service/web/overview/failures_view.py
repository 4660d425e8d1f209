"""Failures that are not repaired, as lines: how many, of what, since when, and where they are listed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from service.jobs import JobState
from service.sentence import ended
from service.store.throughput.failures import FailedKind, FailureGroup
from service.web.overview.words import cause_words

_UNDELIVERED: Final = {
    FailedKind.JOB: "Not delivered to {}",
    FailedKind.REPORT: "Verified report not delivered to {}",
    FailedKind.NOTICE: "Notice not delivered to {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLine:
    """Failures of the same cause and destination.

    Attributes:
        url: From the root: the queue with these jobs, or the job that failed last.
        link: The words of the link.
        error: Why the latest one failed, a sentence.
    """

    count: int
    words: str
    first_at: datetime
    last_at: datetime
    error: str
    url: str
    link: str

    @property
    def key(self) -> str:
        """Identifies the line in its page."""
        return f"{self.words} {self.url}"


def failure_line(group: FailureGroup) -> FailureLine:
    """Return the line of a group."""
    words = cause_words(group.cause)
    if group.destination:
        words = _UNDELIVERED[group.kind].format(group.destination)
    is_job = group.kind is FailedKind.JOB
    return FailureLine(
        count=group.count,
        words=words,
        first_at=group.first_at,
        last_at=group.last_at,
        error=ended(group.error) if group.error else "",
        url=_queue_url(group) if is_job else f"jobs/{group.job_id}",
        link="Show and retry" if is_job else "Show the latest",
    )


def _queue_url(group: FailureGroup) -> str:
    asked = {
        "state": JobState.FAILED.value,
        "cause": group.cause,
        "destination": group.destination,
    }
    return f"queue?{urlencode({key: value for key, value in asked.items() if value})}"
