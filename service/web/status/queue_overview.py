"""What all views of the queue show alike: computed once a second, not for each page."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from service.destination_backlog import Backlog
from service.jobs import DraftStatus, JobState
from service.monitoring.destination_incidents import alert_after, backlogs
from service.records import ArrivingStudy, Incident
from service.settings.config import Settings
from service.store import Store
from service.store.job_lists.listing import FailureGroup
from service.store.refusals import MOST_ROWS
from service.web.status.attention import Notice, attention
from service.web.status.refusal_text import RefusalLine, refusal_lines

SECONDS: Final = 1.0
_INCIDENTS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOverview:
    """The queue as a whole at one moment.

    Attributes:
        counts: Number of jobs by state and alarm, bounded (`JobLists.bounded_counts`).
        failures: The latest failures by cause and destination.
        notices: What needs attention.
        arriving: Studies without a job yet.
        destinations: Each destination, and whether a result has waited too long for it.
        incidents: The latest incidents.
        refusals: The latest lines about refused associations and Instances.
    """

    counts: Mapping[JobState | DraftStatus, int]
    failures: Sequence[FailureGroup]
    notices: Sequence[Notice]
    arriving: Sequence[ArrivingStudy]
    destinations: Sequence[tuple[Backlog, bool]]
    incidents: Sequence[Incident]
    refusals: Sequence[RefusalLine]

    @property
    def is_empty(self) -> bool:
        """Whether there is no job at all."""
        return not any(self.counts.get(state) for state in JobState)


class OverviewCache:
    """Makes the overview at most once a second; it blocks, so call it in a thread.

    While one thread makes it, the others get the previous one.
    """

    def __init__(self, store: Store, settings: Settings, *, seconds: float = SECONDS) -> None:
        """Take the store and how long an overview is used."""
        self._store = store
        self._settings = settings
        self._seconds = seconds
        self._lock = threading.Lock()
        self._latest: QueueOverview | None = None
        self._made_at = float("-inf")

    def overview(self) -> QueueOverview:
        """Return the overview, at most a second old.

        Raises:
            StoreError: The database does not answer.
        """
        latest = self._latest
        if not self._lock.acquire(blocking=latest is None or not self._seconds):
            return latest or self._make()
        try:
            if self._latest is None or time.monotonic() - self._made_at >= self._seconds:
                self._latest = self._make()
                self._made_at = time.monotonic()
            return self._latest
        finally:
            self._lock.release()

    def _make(self) -> QueueOverview:
        store, settings = self._store, self._settings
        return QueueOverview(
            failures=store.failure_groups(),
            notices=tuple(attention(store, settings)),
            arriving=store.arriving(),
            destinations=_destinations(store, settings),
            incidents=store.incidents(limit=_INCIDENTS),
            # All rows are read, because one line may combine dozens of them.
            refusals=refusal_lines(store.refusals(limit=2 * MOST_ROWS))[:_INCIDENTS],
            # Last: the page reads its rows next, and a change between both shows at the next look.
            counts=store.bounded_counts(),
        )


def _destinations(store: Store, settings: Settings) -> Sequence[tuple[Backlog, bool]]:
    now, limit = store.now(), alert_after(settings)
    return [(each, each.is_overdue(now, limit)) for each in backlogs(store, settings)]
