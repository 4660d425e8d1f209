"""Distinguishes a lease that ended in an outage of the database from one whose worker was lost.

During an outage no worker can extend its lease. When the database answers again, a living worker reports
itself within seconds; its job is then handed back without counting an attempt.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from service.monitoring.heartbeat import BEAT_SECONDS
from service.records import Job, ProcessBeat

# A worker that lives reports itself within this time after the end of an outage.
_GRACE: Final = timedelta(seconds=3 * BEAT_SECONDS)


class LeaseVerdict(Enum):
    """The state of a worker whose lease has ended."""

    LOST = auto()
    LIVES = auto()
    UNKNOWN = auto()  # it may still report itself


class Outages:
    """Records the last outage of the database: a long time between two looks."""

    def __init__(self, lease_seconds: float) -> None:
        """Take the lease length; leases are extended each third of it, so a shorter outage ends none."""
        self._least = timedelta(seconds=lease_seconds / 3)
        self._looked: datetime | None = None
        self._away: tuple[datetime, datetime] | None = None

    def update(self, now: datetime) -> None:
        """Record that the database answers now."""
        if self._looked is not None and now - self._looked > self._least:
            self._away = (self._looked, now)
        self._looked = now

    def verdict_on(self, job: Job, beats: Sequence[ProcessBeat], now: datetime) -> LeaseVerdict:
        """Return the state of the holder of a job whose lease has ended.

        Args:
            job: The job as it was claimed.
            beats: The latest heartbeats of the processes.
            now: The current time.
        """
        if self._away is None or job.lease_until is None:
            return LeaseVerdict.LOST
        since, back = self._away
        if not since <= job.lease_until <= back + _GRACE:
            return LeaseVerdict.LOST
        # A lease owner is "<process name>:<suffix>"; a later process of that name has another suffix.
        name = job.lease_owner.rpartition(":")[0]
        for beat in beats:
            if beat.name == name and beat.started_at <= job.updated_at and beat.seen_at >= back:
                return LeaseVerdict.LIVES
        return LeaseVerdict.UNKNOWN if now < back + _GRACE else LeaseVerdict.LOST
