"""What claims that became void left in the outbox goes; what was made for the job stays.

    outbox/<job>/<number of the claim>/<kind>.dcm

Each claim of a job writes into a folder of its own. A claim that is lost between its files and their
rows (its worker was killed or came too late, a person canceled the job) leaves them there, and the
next claim makes its own. No later claim has a number of an earlier one, so they are nobody's.
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

# A worker that hung for some leases and wakes up may write yet, though its claim is void.
_LEASES: Final = 10
_AT_ONCE: Final = 200


class OutboxCleanup:
    """Looks at the jobs that changed since its last look; at its first ones at all of them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Take the store, and the settings for the outbox and the length of a lease."""
        self._store = store
        self._outbox = settings.outbox_dir
        self._age = timedelta(seconds=_LEASES * settings.reading.lease_seconds)
        self._seen: PastClaims | None = None

    def look(self, now: datetime) -> int:
        """Remove what void claims of some jobs left; return how many folders that were.

        Raises:
            StoreUnavailable: The database is away; the next look goes on from there.
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
            # Retention takes the whole folder in the end.
            log.error("void_claims_not_removed", job_id=job.job_id, reason=error.strerror)
            return 0
        if void:
            log.info("void_claims_removed", job_id=job.job_id, claims=len(void))
        return len(void)


def _folders(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []  # retention was there, or nothing was ever written


def _is_void(path: Path, job: PastClaims) -> bool:
    name = path.name
    is_claim = name.isascii() and name.isdigit()
    return is_claim and int(name) <= job.fence and name not in job.kept
