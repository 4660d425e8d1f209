"""Removes the outbox files of void claims; the job's results stay.

    outbox/<job>/<number of the claim>/<kind>.dcm

Each claim of a job writes into its own folder. A claim that ends after it wrote files and before their
rows are committed (its worker was killed or too late, or a person canceled the job) leaves the files
there, and the next claim makes its own. Claim numbers are never used again, so nothing needs them.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from service.log import get_logger
from service.maintenance.retention import remove_tree
from service.records import PastClaims
from service.settings.config import Settings
from service.store import Store

log = get_logger(__name__)

# Lease lengths to wait: a worker that hung for some leases may still write, though its claim is void.
_LEASES: Final = 10
_AT_ONCE: Final = 200


class OutboxCleanup:
    """Goes through all jobs in the order of their last change, then through those that change later."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Take the store, and the settings for the outbox and the length of a lease."""
        self._store = store
        self._outbox = settings.outbox_dir
        self._age = timedelta(seconds=_LEASES * settings.reading.lease_seconds)
        self._seen: PastClaims | None = None

    def remove_void_claims(self, now: datetime) -> int:
        """Remove the folders of void claims of up to 200 jobs; return how many folders that were.

        Raises:
            StoreUnavailable: The database does not answer; the next look continues from there.
        """
        before = now - self._age
        if self._seen is not None and self._seen.updated_at > before:
            self._seen = None  # the clock was set back
        count = 0
        for job in self._store.past_claims(self._seen, before, limit=_AT_ONCE):
            count += self._remove(job)
            self._seen = job
        return count

    def _remove(self, job: PastClaims) -> int:
        try:
            void = [path for path in _folders(self._outbox / job.job_id) if _is_void(path, job)]
            for path in void:
                remove_tree(path)
        except OSError as error:
            # Not repeated: retention removes the whole folder later.
            log.error("void_claims_not_removed", job_id=job.job_id, reason=error.strerror)
            return 0
        if void:
            log.info("void_claims_removed", job_id=job.job_id, claims=len(void))
        return len(void)


def _folders(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []  # retention removed it, or no claim wrote a file


def _is_void(path: Path, job: PastClaims) -> bool:
    name = path.name
    is_claim = name.isascii() and name.isdigit()
    return is_claim and int(name) <= job.fence and name not in job.kept
