"""Watches over the jobs in hand: which are no longer wanted, and which have stopped to move.

A reading may hang in a device or in the code of a library, where nothing of ours can end it. Its lease
is then not to be extended for ever: the job goes back, and the process must be replaced. Should not even
the watch come to look, because that code holds Python's lock, an alarm of faulthandler ends the process.
"""

import faulthandler
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.records import Job
from service.store import Store
from workers.lease import Lease

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.5
_ALARM_SECONDS: Final = 60.0
_STDERR: Final = 2
# What hangs with the first that is noticed made its last step at the same moment, or nearly.
_AS_LONG: Final = 0.9


class JobWatch:
    """Looks at the jobs in hand twice a second."""

    def __init__(
        self,
        store: Store,
        owner: str,
        hang_seconds: float,
        on_hang: Callable[[Sequence[Job]], None],
    ) -> None:
        """Take what it looks at.

        Args:
            store: The store.
            owner: The worker whose jobs they are.
            hang_seconds: How long a reading may make no step.
            on_hang: Told once, in the watch's own thread, which jobs hang.
        """
        self._store = store
        self._owner = owner
        self._hang_seconds = hang_seconds
        self._on_hang = on_hang
        # By claim: a worker may take up again what it was thought to have lost, while it still ends it.
        self._followed: dict[tuple[str, int], tuple[Job, Lease]] = {}
        self._stop = threading.Event()

    @property
    def followed(self) -> int:
        """How many jobs are watched over."""
        return len(self._followed)

    @contextmanager
    def kept(self) -> Iterator["JobWatch"]:
        """Watch for the length of the block."""
        thread = threading.Thread(target=self._run, name="watch", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    @contextmanager
    def over(self, job: Job, lease: Lease) -> Iterator[None]:
        """Watch over one job for the length of the block."""
        self._followed[job.id, job.fence] = (job, lease)
        try:
            yield
        finally:
            del self._followed[job.id, job.fence]

    def look(self) -> None:
        """Look at every job once."""
        followed = list(self._followed.values())  # before the database is asked: none is newer
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
        # Not less than a minute: a database that is slow to say that it is away may hold up a look.
        alarm = max(_ALARM_SECONDS, self._hang_seconds)
        task = Task("watch the jobs in hand")
        while not self._stop.wait(min(_LOOK_SECONDS, self._hang_seconds / 4)):
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
