"""Checks the database."""

from service.checks.check import Outcome
from service.checks.first_start import unless_first_start
from service.database import schema
from service.settings.config import Settings
from service.store import Store


def database(settings: Settings) -> Outcome:
    """Check that the database can be written, and return its revision; a note before the first start.

    Raises:
        StoreError: The database cannot be reached or written, or is at another revision.
    """
    return unless_first_start(
        settings, lambda: _writable(settings), "the database does not exist yet"
    )


def _writable(settings: Settings) -> Outcome:
    store = Store.open(settings)
    try:
        store.check_writable()
    finally:
        store.close()
    return Outcome(f"at revision {schema.current(settings.database_url)}, writable")
