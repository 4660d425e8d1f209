"""Counts of ended associations, kept in memory and written to the database every few seconds."""

import threading
import time
from collections.abc import Callable
from typing import Final

from dicom.spool.ingest import IncomingAssociation
from service.errors import StoreError
from service.log import get_logger
from service.records.network import EndedAssociations
from service.store import Store
from service.store.network.calling_aes import MOST_CALLERS, OTHERS

# A write waits for the same database as the Instances: one in this time is enough for a page.
_EVERY: Final = 5.0

log = get_logger(__name__)


class AssociationCounts:
    """Counts ended associations by calling AE; thread-safe."""

    def __init__(self, store: Store, *, passed: Callable[[], float] = time.monotonic) -> None:
        """Take the store to which the counts are written, and a clock in seconds that cannot be set."""
        self._store = store
        self._passed = passed
        self._lock = threading.Lock()
        self._ended: dict[str, EndedAssociations] = {}
        self._written = float("-inf")
        self._is_failing = False

    def add(self, association: IncomingAssociation) -> None:
        """Count an association that has ended now."""
        now = self._store.now()
        with self._lock:
            self._count(
                association.calling_ae,
                EndedAssociations(address=association.address, at=now, count=1),
            )

    def write_if_due(self) -> None:
        """Write the counts, once in five seconds at most."""
        if self._passed() - self._written >= _EVERY:
            self._written = self._passed()
            self.write()

    def write(self) -> None:
        """Write the counts since the last write; keep them if the database does not accept them."""
        with self._lock:
            ended, self._ended = self._ended, {}
        if not ended:
            return
        try:
            self._store.add_associations(ended)
            self._is_failing = False
        except StoreError as error:
            if not self._is_failing:
                log.warning("association_counts_not_written", reason=str(error))
            self._is_failing = True
            with self._lock:
                for name, each in ended.items():
                    self._count(name, each)

    def _count(self, name: str, ended: EndedAssociations) -> None:
        if name not in self._ended and len(self._ended) >= MOST_CALLERS:
            name = OTHERS
        known = self._ended.get(name)
        if known is not None:
            latest = max(known, ended, key=lambda each: each.at)
            ended = EndedAssociations(
                address=latest.address, at=latest.at, count=known.count + ended.count
            )
        self._ended[name] = ended
