"""Keeps a claim alive while its work runs, and reports when the claim is lost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from service.errors import LeaseLost, StoreError
from service.log import get_logger
from service.monitoring.background import Task, in_thread

log = get_logger(__name__)

T = TypeVar("T")


class Lease:
    """Extends one claim three times within its length.

    An unavailable database does not end the lease at once: no other worker can take over the claim
    until a whole length has passed without an extension.

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
        """Start the lease now; `kept` extends it.

        Args:
            extend: Extends the claim once; raises LeaseLost when the claim is gone.
            seconds: Length of the lease.
            clock: Monotonic clock in seconds.
        """
        self.interval = seconds / 3
        self._extend = extend
        self._seconds = seconds
        self._clock = clock
        self._lost = threading.Event()
        self._done = threading.Event()
        self._good_until = clock() + seconds
        self._moved = clock()

    def progressed(self) -> None:
        """Record that the work makes progress."""
        self._moved = self._clock()

    @property
    def stalled(self) -> float:
        """Seconds since the last recorded progress."""
        return self._clock() - self._moved

    def lose(self) -> None:
        """Mark the claim as lost."""
        self._lost.set()

    @property
    def lost(self) -> bool:
        """Whether the claim is gone, or may have been taken over: the work must write nothing more."""
        return self._lost.is_set() or self._clock() > self._good_until

    @contextmanager
    def kept(self) -> Iterator["Lease"]:
        """Extend the claim, in a thread, for the duration of the block."""
        with in_thread(self._run, self._done, "lease"):
            yield self

    def extend(self) -> bool:
        """Extend the claim once; return whether it can be extended again.

        An unavailable database leaves the end of the lease unchanged.
        """
        # From before the call: the lease must not end later here than in the database.
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


def retry_while_held(write: Callable[[], T], lease: Lease, *, pause: float = 0.5) -> T:
    """Return the result of `write`; retry it while the database is unavailable and the lease holds.

    Raises:
        StoreError: The database refused, or was unavailable until the lease was lost.
    """
    while True:
        try:
            return write()
        except StoreError as error:
            if not error.retry or lease.lost:
                raise
            log.warning("store_unavailable", reason=str(error))
        lease.progressed()  # waiting for the database is not a hang
        time.sleep(pause)
