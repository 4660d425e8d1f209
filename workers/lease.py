"""A claim is kept alive while its work runs, and the work hears when the claim is gone."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from service.errors import LeaseLost, StoreError
from service.log import get_logger
from service.monitoring.background import Task

log = get_logger(__name__)

T = TypeVar("T")


class Lease:
    """Extends one claim three times in its length.

    A database that is away does not end the lease at once: only when it has been away for the whole
    length could somebody else have taken the claim over.

    Attributes:
        interval: Seconds between two extensions.
    """

    def __init__(
        self,
        extend: Callable[[], None],
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what extends the claim (raises LeaseLost when it is gone) and the lease's length.

        Args:
            extend: Extends the claim once.
            seconds: The length of the lease.
            clock: Seconds that only ever increase.
        """
        self.interval = seconds / 3
        self._extend = extend
        self._seconds = seconds
        self._clock = clock
        self._lost = threading.Event()
        self._done = threading.Event()
        self._good_until = clock() + seconds
        self._moved = clock()

    def moved(self) -> None:
        """Note that the work goes on."""
        self._moved = self._clock()

    @property
    def stalled(self) -> float:
        """Seconds since the work was last known to go on."""
        return self._clock() - self._moved

    def lose(self) -> None:
        """Let the work hear that the claim is gone."""
        self._lost.set()

    @property
    def lost(self) -> bool:
        """Whether somebody else holds, or may hold, the claim now: nothing may be written any more."""
        return self._lost.is_set() or self._clock() > self._good_until

    @contextmanager
    def kept(self) -> Iterator["Lease"]:
        """Keep the claim for the length of the block."""
        thread = threading.Thread(target=self._run, name="lease", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._done.set()
            thread.join()

    def extend(self) -> bool:
        """Extend the claim once; return whether it can be extended again.

        While the database is away the lease keeps its end.
        """
        begun = self._clock()
        try:
            self._extend()
        except LeaseLost:
            self._lost.set()
            return False
        except StoreError as error:
            log.warning("lease_not_extended", reason=str(error))
        else:
            self._good_until = begun + self._seconds
        return True

    def _run(self) -> None:
        task = Task("extend the lease")
        while not self._done.wait(self.interval) and not self._lost.is_set():
            task.attempt(self.extend)


def insist(write: Callable[[], T], lease: Lease, *, pause: float = 0.5) -> T:
    """Return what `write` returns, tried again while the database is away and the lease is good.

    Raises:
        StoreError: The database refused, or was away until the lease was over.
    """
    while True:
        try:
            return write()
        except StoreError as error:
            if not error.retry or lease.lost:
                raise
            log.warning("store_unavailable", reason=str(error))
        lease.moved()  # it is the database that does not go on
        time.sleep(pause)
