"""Tells a lease that ended because the database was away from one whose worker was lost.

While nobody can reach the database no lease can be extended, however well its worker is. Once it is back
a worker that lives reports itself within seconds; then its job goes back without losing an attempt.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from service.monitoring.heartbeat import BEAT_SECONDS
from service.records import Job, ProcessBeat

# Within this time of its return who lives has said so.
_GRACE: Final = timedelta(seconds=3 * BEAT_SECONDS)


class LeaseVerdict(Enum):
    """What is to be thought of a worker whose lease has ended."""

    LOST = auto()
    LIVES = auto()
    UNKNOWN = auto()  # it may say so yet


class Outages:
    """Remembers when the database was away last, by the time between two looks at it."""

    def __init__(self, lease_seconds: float) -> None:
        """Take the length of a lease: it is extended three times in that, a shorter outage ends none."""
        self._least = timedelta(seconds=lease_seconds / 3)
        self._looked: datetime | None = None
        self._away: tuple[datetime, datetime] | None = None

    def look(self, now: datetime) -> None:
        """Note that the database answers now."""
        if self._looked is not None and now - self._looked > self._least:
            self._away = (self._looked, now)
        self._looked = now

    def judge(self, job: Job, beats: Sequence[ProcessBeat], now: datetime) -> LeaseVerdict:
        """Return what is to be thought of the holder of a job whose lease has ended.

        Args:
            job: As it was claimed.
            beats: What the processes reported of themselves.
            now: The time.
        """
        if self._away is None or job.lease_until is None:
            return LeaseVerdict.LOST
        since, back = self._away
        if not since <= job.lease_until <= back + _GRACE:
            return LeaseVerdict.LOST
        # A holder's name is its process's and something that no later process of this number has.
        name = job.lease_owner.rpartition(":")[0]
        for beat in beats:
            if beat.name == name and beat.started_at <= job.updated_at and beat.seen_at >= back:
                return LeaseVerdict.LIVES
        return LeaseVerdict.UNKNOWN if now < back + _GRACE else LeaseVerdict.LOST
