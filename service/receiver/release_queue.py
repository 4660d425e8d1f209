"""Schedules the jobs of released associations in a thread apart from those that receive."""

import math
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from dicom.error_boundary import places
from service.log import get_logger
from service.receiver.intake import Intake

# If a release follows another within the first time, more are likely: wait the second time for them.
_BUSY_SECONDS: Final = 0.05
_GATHER_SECONDS: Final = 0.01

log = get_logger(__name__)


class ReleaseQueue:
    """Schedules the jobs of released associations in one thread, several associations at a time.

    A single release is handled at once. Under load, one wake-up for each release would take CPU time
    from the receiving threads, so the thread first waits 10 ms and then handles all queued releases.

    The queue is in memory only: after a crash, a Study is scheduled once its quiet time is over.
    """

    def __init__(self, intake: Intake) -> None:
        """Take the intake; the thread starts with the first release."""
        self._intake = intake
        self._ended: deque[str] = deque()
        self._last = -math.inf
        self._awaited = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="releases")

    def add(self, association_id: str) -> None:
        """Schedule soon the Studies that the released association brought; does not block."""
        now = time.monotonic()
        busy, self._last = now - self._last < _BUSY_SECONDS, now
        self._ended.append(association_id)
        # Append before the test: `_make_jobs` clears the flag before it empties the queue, so a release
        # appended while the flag is set is still handled.
        if not self._awaited:
            self._awaited = True
            self._have_made(_GATHER_SECONDS if busy else 0.0)

    def _have_made(self, gather_seconds: float) -> None:
        made: Future[None] | None = None
        try:
            made = self._thread.submit(self._make_jobs, gather_seconds)
        finally:
            if made is None:  # no thread could be started; the next release tries again
                self._awaited = False
        made.add_done_callback(_log_unforeseen)

    def close(self) -> None:
        """Return once all jobs are scheduled."""
        self._thread.shutdown()

    def _make_jobs(self, gather_seconds: float) -> None:
        if gather_seconds:
            time.sleep(gather_seconds)
        self._awaited = False
        together = [self._ended.popleft() for _ in range(len(self._ended))]
        if together:
            self._intake.associations_released(together)


def _log_unforeseen(made: Future[None]) -> None:
    error = made.exception()
    if error is not None:
        log.error("jobs_not_scheduled", error=type(error).__name__, places=places(error))
