"""Takes the final reports that arrive at the receiver and by the API, beside the deliveries.

The labeler is part of the compute: receiver, sweeper and web process cannot label. Several delivery
workers may do this at once: each report is stored once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from dicom.errors import DicomError
from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task, in_thread
from service.settings.config import Settings
from service.store import Store
from workers.final_reports.structured_report import REPORT_CLASSES, report_in
from workers.final_reports.taking import FinalReportTaker

_EVERY: Final = 2.0
_BATCH: Final = 5000  # row ids that are looked through in one query
# PostgreSQL commits row ids out of order: those of slower transactions are read again.
_OVERLAP: Final = 200

log = get_logger(__name__)


class FinalReportWatch:
    """Searches for new SRs, and for reports whose text the labeler has not read."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._from_sr = settings.final_reports.from_sr
        self._taker = FinalReportTaker(store, settings)
        self._position: int | None = None
        self._seen: set[int] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every two seconds in a thread until the block ends."""
        stop = threading.Event()
        with in_thread(partial(self._until, stop), stop, "final reports", join_seconds=_EVERY):
            yield

    def look(self) -> None:
        """Take what has arrived since the last look.

        Raises:
            StoreError: The database cannot be used now; the next look continues from there.
        """
        self._taker.label_waiting()
        if self._from_sr:
            self._take_documents()

    def _until(self, stop: threading.Event) -> None:
        task = Task("take final reports", passed_on=(StoreError, OSError))
        while not stop.wait(_EVERY):
            try:
                task.attempt(self.look)
            except (StoreError, OSError) as error:
                log.warning("final_reports_not_taken", reason=type(error).__name__)

    def _take_documents(self) -> None:
        if self._position is None:
            self._position = self._store.newest_report_instance()
        newest = self._store.newest_instance()
        after = max(0, self._position - _OVERLAP)
        while after < newest:
            through = min(after + _BATCH, newest)
            found = self._store.document_instances(after, through, REPORT_CLASSES)
            for number, path in found:
                if number not in self._seen:
                    self._take(number, path)
            after = self._position = through
        self._seen = {each for each in self._seen if each > self._position - 2 * _OVERLAP}

    def _take(self, number: int, path: Path) -> None:
        try:
            report = report_in(path)
        except (DicomError, OSError) as error:
            log.warning("report_sr_unreadable", instance=number, reason=type(error).__name__)
            report = None
        if report is not None:
            taken = self._taker.take(report, instance_id=number)
            log.info("report_sr_taken", instance=number, state=taken.state.value)
        self._seen.add(number)
