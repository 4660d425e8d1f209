"""Old films and results leave the disk; their rows and history stay."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from service.config import Settings
from service.log import get_logger
from service.store import Store

log = get_logger(__name__)


def remove_old(store: Store, settings: Settings, now: datetime) -> int:
    """Remove the files of studies whose every job ended `sweep.retention_days` ago; return how many.

    A study with a job that waits, or whose results wait for a destination, keeps everything.

    Raises:
        StoreUnavailable: The database is away; what was removed is noted the next time.
    """
    days = settings.sweep.retention_days
    studies = store.removable(now - timedelta(days=days))
    for study_uid in studies:
        _remove_films(store, settings.spool_dir, study_uid)
        for job in store.jobs(study=study_uid, limit=10_000):
            if job.removed_at is None:
                shutil.rmtree(settings.outbox_dir / job.id, ignore_errors=True)
                store.removed(job.id, f"Ended more than {days:g} days ago: its files were removed.")
        log.info("files_removed", study_uid=study_uid)
    return len(studies)


def _remove_films(store: Store, spool: Path, study_uid: str) -> None:
    root = spool.resolve()
    for film in store.instances(study_uid):
        # A row's path is ours, but only what lies in the spool may be removed.
        if film.path.resolve().is_relative_to(root):
            film.path.unlink(missing_ok=True)
            _remove_if_empty(film.path.parent, root)
    store.films_removed(study_uid)


def _remove_if_empty(folder: Path, root: Path) -> None:
    while folder.resolve() != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
