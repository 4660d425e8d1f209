"""Decides whether the clock can be trusted for removing files by their age.

A clock that is set ahead makes every file old. So nothing is removed by its age in the first hour of a
sweeper, because a machine that was just started may not have its time yet, nor for a day after the
clock leapt ahead, so that a person can correct it.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from service.log import get_logger
from service.records import IncidentKind
from service.settings.config import Settings
from service.store import Store

log = get_logger(__name__)

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def since_boot() -> float:
    """Return seconds since the machine was started, including sleep; this clock cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockGuard:
    """Compares the store's clock with a clock that cannot be set."""

    def __init__(
        self, store: Store, settings: Settings, passed: Callable[[], float] = since_boot
    ) -> None:
        """Take the store, with its clock; the settings; and a clock in seconds that cannot be set."""
        self._store = store
        self._passed = passed
        # Removal is held for an hour or a day, but never longer than the retention itself.
        self._longest = timedelta(days=settings.sweep.retention_days)
        self._clock, self._then = store.now(), passed()
        self._held_until = self._then + min(_HOUR, self._longest).total_seconds()

    def check(self, now: datetime) -> bool:
        """Return whether files may be removed by their age; record an incident if the clock leapt.

        Raises:
            StoreUnavailable: The database does not answer; the next look finds the leap.
        """
        passed = self._passed()
        leap = now - self._clock - timedelta(seconds=passed - self._then)
        if leap > _HOUR:
            # Recorded before the clocks are stored: if that fails, the next look finds the leap again.
            self._record_incident(leap)
            self._held_until = passed + min(_DAY, self._longest).total_seconds()
        self._clock, self._then = now, passed
        return passed >= self._held_until

    def _record_incident(self, leap: timedelta) -> None:
        hours = leap.total_seconds() / 3600
        log.error("clock_leapt", hours=round(hours, 1))
        self._store.record_incident(
            actor="sweeper",
            kind=IncidentKind.CLOCK_LEAPT,
            subject="clock",
            detail=f"The clock jumped ahead by {hours:.1f} h. No image is removed by its age for a day: "
            "set the clock if it is wrong.",
        )
