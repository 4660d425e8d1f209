"""Keeps the hourly figures up to date, in a thread of the sweeper.

Each minute the number of waiting jobs is measured. The last two hours, hours whose jobs changed, and a
few older hours are computed again from studies and jobs. An hour that is computed twice has the same
rows, so several sweepers may do it. Older hours are visited in turn, the latest first: this fills the
table after an upgrade, and corrects an hour whose change was missed. Then unaccounted studies are
reported.
"""

import threading
import time
from datetime import datetime, timedelta
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.store import Store
from service.sweeper.unaccounted import UnaccountedStudies
from service.throughput.hours import HOUR, hour_of, hours_between

_EVERY: Final = 60.0
# While older hours are computed for the first time.
_WHILE_FILLING: Final = 1.0
_AT_A_TIME: Final = 12
# Difference between clocks, and between the start of a transaction and its commit.
_OVERLAP: Final = timedelta(minutes=2)
_FIGURES_KEPT: Final = timedelta(days=400)
_KEYS_KEPT: Final = timedelta(days=62)

log = get_logger(__name__)


class FigureUpdater:
    """Computes hours; `keep` does what is due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since: datetime | None = None
        # The next older hour; None: begin with the latest.
        self._next: datetime | None = None
        self._forgotten: datetime | None = None
        self.is_filled = False
        self._unaccounted = UnaccountedStudies(store)

    def keep(self) -> None:
        """Measure the depth, compute what changed and some older hours; each hour remove old ones.

        Raises:
            StoreError: The database cannot be used now; the next call does the same work.
        """
        now = self._store.now()
        self._store.measure_depth()
        since = self._since or self._store.computed_through()
        hours = {hour_of(now) - HOUR, hour_of(now)}
        if since is not None:
            hours |= self._store.changed_hours(since - _OVERLAP)
            # Also after a stop of the sweeper, in which jobs failed that were tried again since.
            hours.update(hours_between(max(since, now - _FIGURES_KEPT), now))
        self._store.compute_hours(sorted(each for each in hours if each >= now - _FIGURES_KEPT))
        self._since = now
        self.compute_older()
        self._unaccounted.check()
        if self._forgotten is None or not self._forgotten <= now < self._forgotten + HOUR:
            self._store.forget_hours(now - _FIGURES_KEPT, now - _KEYS_KEPT)
            self._forgotten = now

    def compute_older(self) -> None:
        """Compute the next older hours; after the oldest one begin with the latest again.

        Raises:
            StoreError: The database cannot be used now.
        """
        first, now = self._store.first_hour(), self._store.now()
        oldest = max(first, hour_of(now - _FIGURES_KEPT)) if first else hour_of(now)
        hour = self._next or hour_of(now) - HOUR
        hours = [hour - HOUR * number for number in range(1, _AT_A_TIME + 1)]
        self._store.compute_hours([each for each in hours if each >= oldest])
        self._next = hours[-1]
        if hours[-1] <= oldest:
            self._next, self.is_filled = None, True


def keep_until(keeper: FigureUpdater, stop: threading.Event) -> None:
    """Keep the figures each minute until `stop` is set; fill older hours in between at first."""
    keep = Task("hourly figures", passed_on=(StoreError,))
    fill = Task("older hourly figures", passed_on=(StoreError,))
    due = time.monotonic()
    while not stop.is_set():
        try:
            if time.monotonic() >= due:
                due = time.monotonic() + _EVERY
                keep.attempt(keeper.keep)
            else:
                fill.attempt(keeper.compute_older)
        except StoreError as error:
            log.warning("figures_not_computed", reason=type(error).__name__)
        stop.wait(max(0.0, due - time.monotonic()) if keeper.is_filled else _WHILE_FILLING)
