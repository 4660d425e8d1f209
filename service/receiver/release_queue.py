"""Released associations become jobs, apart from the threads that receive."""

import math
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from dicom.error_boundary import places
from service.log import get_logger
from service.receiver.intake import Intake

# Where one release follows another this soon, more are likely to: they are waited for this long.
_BUSY_SECONDS: Final = 0.05
_GATHER_SECONDS: Final = 0.01

log = get_logger(__name__)


class ReleaseQueue:
    """Makes the jobs of associations in a thread of its own; those together that end meanwhile.

    A release that comes alone is not kept waiting. Among many each would wake the thread for a job or
    two, and it would take turns from those that receive: then it gathers a few.

    Nothing is lost with it: a study whose release was forgotten is scheduled after its quiet time.
    """

    def __init__(self, intake: Intake) -> None:
        """Take the intake; the thread begins with the first release."""
        self._intake = intake
        self._ended: deque[str] = deque()
        self._last = -math.inf
        self._awaited = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="releases")

    def add(self, association_id: str) -> None:
        """Have the studies that the released association brought become jobs soon."""
        now = time.monotonic()
        busy, self._last = now - self._last < _BUSY_SECONDS, now
        self._ended.append(association_id)
        # In this order: what is appended before the flag falls is taken by the turn that lowers it.
        if not self._awaited:
            self._awaited = True
            self._have_made(_GATHER_SECONDS if busy else 0.0)

    def _have_made(self, gather_seconds: float) -> None:
        made: Future[None] | None = None
        try:
            made = self._thread.submit(self._make_jobs, gather_seconds)
        finally:
            if made is None:  # no thread can be started now; the next release tries again
                self._awaited = False
        made.add_done_callback(_log_unforeseen)

    def close(self) -> None:
        """Return once all jobs are made."""
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
        log.error("jobs_not_made", error=type(error).__name__, places=places(error))
