"""Reads urgent jobs in an extra thread, so that they do not wait for routine jobs.

A free thread of the worker takes an urgent message first. When no thread is free, the worker takes no
messages. The lane then finds urgent jobs in the database and claims them there; the message that arrives
later finds nothing to do.
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
    """An extra reading thread for urgent jobs."""

    def __init__(
        self, store: Store, model: str, busy: Callable[[], bool], read: Callable[[str], None]
    ) -> None:
        """Set up the lane; `open` starts it.

        Args:
            store: The store.
            model: Name of the model whose jobs it takes.
            busy: Returns whether no other thread can take a job now.
            read: The task, which claims a job by its id and reads it.
        """
        self._store = store
        self._model = model
        self._busy = busy
        self._read = read
        self._stop = threading.Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take urgent jobs for the duration of the block, then finish the current one."""
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
            log.warning("claim_failed", job_id=job_id, reason=str(error))

    def _waiting(self) -> str | None:
        """Return the id of the urgent job that has waited longest, or None."""
        try:
            return self._store.next_urgent(self._model)
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return None
