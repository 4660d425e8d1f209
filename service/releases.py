"""Released associations become jobs, apart from the threads that receive."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from dicom.edge import places
from service.intake import Intake
from service.log import get_logger

log = get_logger(__name__)


class Releases:
    """Makes the jobs of associations in a thread of its own; those together that end meanwhile.

    Nothing is lost with it: a study whose release was forgotten is scheduled after its quiet time.
    """

    def __init__(self, intake: Intake) -> None:
        """Take the intake; the thread begins with the first release."""
        self._intake = intake
        self._ended: deque[str] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="releases")

    def add(self, association_id: str) -> None:
        """Have the studies that the released association brought become jobs soon."""
        self._ended.append(association_id)
        self._thread.submit(self._make_jobs).add_done_callback(_log_unforeseen)

    def close(self) -> None:
        """Return once all jobs are made."""
        self._thread.shutdown()

    def _make_jobs(self) -> None:
        together = [self._ended.popleft() for _ in range(len(self._ended))]
        if together:
            self._intake.associations_released(together)


def _log_unforeseen(made: Future[None]) -> None:
    error = made.exception()
    if error is not None:
        log.error("jobs_not_made", error=type(error).__name__, places=places(error))
