"""An urgent job does not wait until a routine one has ended: it has a lane of its own.

A thread of the worker that is free takes the urgent message first. When none is free nobody looks at the
queue, so this looks at the database, which is what decides: it claims the job there, and the message
that comes later finds nothing to do.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.store import Store

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.25


class UrgentLane:
    """One more thread that reads, for urgent jobs only."""

    def __init__(
        self, store: Store, model: str, busy: Callable[[], bool], read: Callable[[str], None]
    ) -> None:
        """Take the store, the model whose jobs it may take, and how they are read.

        Args:
            store: The store.
            model: The name on the jobs.
            busy: Returns whether no other thread could take a job now.
            read: The task, which claims a job by its id and reads it.
        """
        self._store = store
        self._model = model
        self._busy = busy
        self._read = read
        self._stop = threading.Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take urgent jobs for the length of the block, and finish what was begun."""
        thread = threading.Thread(target=self._run, name="urgent", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        task = Task("urgent jobs")
        while not self._stop.wait(_LOOK_SECONDS):
            task.attempt(self._look)

    def _look(self) -> None:
        job_id = self._waiting() if self._busy() else None
        if job_id is not None:
            self._take(job_id)

    def _take(self, job_id: str) -> None:
        try:
            self._read(job_id)
        except StoreError as error:  # the lane stays open
            log.warning("not_claimed", job_id=job_id, reason=str(error))

    def _waiting(self) -> str | None:
        """Return the urgent job that waits longest, if one does."""
        try:
            return self._store.next_urgent(self._model)
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return None
