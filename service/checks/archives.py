"""Checks of the archives that `[[reconcile]]` compares with what was received."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from dicom.archives.archive import Window
from service.checks.check import Check, Outcome
from service.settings.config import Settings
from service.settings.destination_factory import archive
from service.settings.keys.reconcile import Reconcile


def archive_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each table `[[reconcile]]`."""
    for table in settings.reconcile:
        yield Check(f"reconcile {table.name}", partial(_searched, settings, table))


def _searched(settings: Settings, table: Reconcile) -> Outcome:
    """Search for Studies from now on, an empty result: only a search shows whether it is allowed."""
    window = Window(since=datetime.now(UTC), modalities=table.modalities)
    archive(table, settings).listing(window)
    fetched = "" if table.fetch else "; fetch = false: missing studies are only listed"
    return Outcome(f"can be searched{fetched}")
