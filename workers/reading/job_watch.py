"""Watches the running jobs: which are canceled, and which hang.

A reading may hang in a device or in library code, where our code cannot end it. Its lease must not be
extended for ever: the job is handed back, and the process is replaced. If the hanging code holds the
GIL, the watch cannot run either; then an alarm of faulthandler ends the process.
"""

import faulthandler
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task, in_thread
from service.records import Job
from service.store import Store
from workers.lease import Lease

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.5
_ALARM_SECONDS: Final = 60.0
_STDERR: Final = 2
# Share of the limit: readings that hang together made their last step at nearly the same time.
_AS_LONG: Final = 0.9


class JobWatch:
    """Checks the running jobs twice a second."""

    def __init__(
        self,
        store: Store,
        owner: str,
        hang_seconds: float,
        on_hang: Callable[[Sequence[Job]], None],
    ) -> None:
        """Set up the watch; `kept` starts it.

        Args:
            store: The store.
            owner: This worker's name in its leases.
            hang_seconds: Time without a step after which a reading hangs.
            on_hang: Called once, in the watch's own thread, with the jobs that hang.
        """
        self._store = store
        self._owner = owner
        self._hang_seconds = hang_seconds
        self._on_hang = on_hang
        # Keyed by claim: a worker may claim a job again before the work of its lost claim has ended.
        self._followed: dict[tuple[str, int], tuple[Job, Lease]] = {}
        self._stop = threading.Event()

    @property
    def followed(self) -> int:
        """Number of jobs that are watched."""
        return len(self._followed)

    @contextmanager
    def kept(self) -> Iterator["JobWatch"]:
        """Watch, in a thread, for the duration of the block."""
        with in_thread(self._run, self._stop, "watch"):
            yield self

    @contextmanager
    def over(self, job: Job, lease: Lease) -> Iterator[None]:
        """Watch one job for the duration of the block."""
        self._followed[job.id, job.fence] = (job, lease)
        try:
            yield
        finally:
            del self._followed[job.id, job.fence]

    def look(self) -> None:
        """Check every job once."""
        # Before the query: a job claimed in between would look canceled.
        followed = list(self._followed.values())
        if not followed:
            return
        self._notice_canceled(followed)
        stalled = [(job, lease.stalled) for job, lease in followed]
        if any(seconds >= self._hang_seconds for _, seconds in stalled):
            self._stop.set()
            self._on_hang(
                [job for job, seconds in stalled if seconds >= _AS_LONG * self._hang_seconds]
            )

    def _run(self) -> None:
        # At least a minute: an unavailable database may delay a check until its timeout.
        alarm = max(_ALARM_SECONDS, self._hang_seconds)
        task = Task("watch the jobs in hand")
        while not self._stop.wait(min(_LOOK_SECONDS, self._hang_seconds / 4)):
            # Each check restarts the alarm; if the checks stop, it ends the process.
            faulthandler.dump_traceback_later(alarm, exit=True, file=_STDERR)
            task.attempt(self.look)
        faulthandler.cancel_dump_traceback_later()

    def _notice_canceled(self, followed: Sequence[tuple[Job, Lease]]) -> None:
        try:
            held = {job.id: job.fence for job in self._store.held_by(self._owner)}
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return
        for job, lease in followed:
            if held.get(job.id) != job.fence:
                lease.lose()
