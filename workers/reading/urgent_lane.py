"""Reads urgent jobs in an extra thread, so that they do not wait for routine jobs.

A free thread of the worker takes an urgent message first. When no thread is free, the worker takes no
messages. The lane then finds urgent jobs in the database and claims them there.
"""

from service.errors import StoreError
from service.log import get_logger
from workers.reading.lane import Lane

log = get_logger(__name__)


class UrgentLane(Lane):
    """An extra reading thread for urgent jobs."""

    task = "urgent jobs"
    look_seconds = 0.25

    def _look(self) -> None:
        job_id = self._waiting() if self._busy() else None
        if job_id is not None:
            self._take(job_id)

    def _take(self, job_id: str) -> None:
        try:
            self._work(job_id)
        except StoreError as error:  # the lane stays open
            log.warning("claim_failed", job_id=job_id, reason=str(error))

    def _waiting(self) -> str | None:
        """Return the id of the urgent job that has waited longest, or None."""
        try:
            return self._store.next_urgent(self._model)
        except StoreError as error:
            log.debug("not_looked", reason=str(error))
            return None
