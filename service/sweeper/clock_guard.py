"""Whether the clock may be trusted with the age of films, which are removed for good by it.

A clock that is set ahead makes every film old. So nothing is removed by its age in the first hour of a
sweeper, in which a machine that has just been started gets its time from others, nor for a day after
the clock leapt ahead, in which a person can set it right.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from service.log import get_logger
from service.settings.config import Settings
from service.store import Store

log = get_logger(__name__)

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def since_boot() -> float:
    """Return seconds since the machine was started, its sleep included; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockGuard:
    """Compares the clock with the time that has passed."""

    def __init__(
        self, store: Store, settings: Settings, passed: Callable[[], float] = since_boot
    ) -> None:
        """Take the store, with its clock; the settings; and what nobody can set, in seconds."""
        self._store = store
        self._passed = passed
        # Who keeps films for less than that waits no longer for their removal.
        self._longest = timedelta(days=settings.sweep.retention_days)
        self._clock, self._then = store.now(), passed()
        self._held_until = self._then + min(_HOUR, self._longest).total_seconds()

    def look(self, now: datetime) -> bool:
        """Return whether films may be removed by their age; a leap of the clock is an incident.

        Raises:
            StoreUnavailable: The database is away; the next look finds the leap.
        """
        passed = self._passed()
        leap = now - self._clock - timedelta(seconds=passed - self._then)
        if leap > _HOUR:
            self._tell(leap)
            self._held_until = passed + min(_DAY, self._longest).total_seconds()
        self._clock, self._then = now, passed
        return passed >= self._held_until

    def _tell(self, leap: timedelta) -> None:
        hours = leap.total_seconds() / 3600
        log.error("clock_leapt", hours=round(hours, 1))
        self._store.record_incident(
            actor="sweeper",
            kind="clock_leapt",
            subject="clock",
            detail=f"It went {hours:.1f} h ahead at once. No film is removed by its age for a day: "
            "set the clock if it is wrong.",
        )
