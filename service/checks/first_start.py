"""Before the first start of the service, a missing database is a note and not a fault."""

from collections.abc import Callable

from service.checks.check import Grade, Outcome
from service.errors import SchemaMismatch
from service.settings.config import Settings


def unless_first_start(settings: Settings, probe: Callable[[], Outcome], what: str) -> Outcome:
    """Return the outcome of a database check; a note if the first start will create the database.

    Args:
        settings: The settings, which name the database and the folders.
        probe: Checks the database.
        what: What is missing, for the note.

    Raises:
        StoreError: The database cannot be used, or is missing although there are images or results.
    """
    try:
        return probe()
    except SchemaMismatch as mismatch:
        if not mismatch.is_empty or _has_files(settings):
            raise
    text = (
        f"{what}: `wetread up` creates it at its first start, `wetread db upgrade` without a start"
    )
    return Outcome(text, Grade.NOTE)


def _has_files(settings: Settings) -> bool:
    """Return whether images or results exist, so that a missing database is a fault."""
    folders = (settings.spool_dir, settings.outbox_dir)
    return any(path.is_file() for each in folders if each.is_dir() for path in each.rglob("*"))
