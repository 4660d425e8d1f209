"""Counts of what the receiver refused, kept in memory and written to the database periodically."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Final

from dicom.scp.refusals import NotAccepted
from service.errors import StoreError
from service.log import get_logger
from service.store import Store
from service.store.refusals import OTHERS

# Different refusals counted between two writes, so that memory is bounded while the database is away.
_MOST: Final = 1000

log = get_logger(__name__)


class Refusals:
    """Counts refusals; thread-safe."""

    def __init__(self, store: Store) -> None:
        """Take the store to which the counts are written."""
        self._store = store
        self._lock = threading.Lock()
        self._counts: Counter[NotAccepted] = Counter()
        self._is_failing = False

    def add(self, refused: NotAccepted) -> None:
        """Count one refusal."""
        with self._lock:
            self._count(refused, 1)

    def write(self) -> None:
        """Write the counts since the last write; keep them if the database does not accept them."""
        # Swap the counter under the lock and write outside it: `add` never waits for the database.
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            self._store.add_refusals(counts)
            self._is_failing = False
        except StoreError as error:
            if not self._is_failing:
                log.warning("refusal_counts_not_written", reason=str(error))
            self._is_failing = True
            with self._lock:
                for refused, count in counts.items():
                    self._count(refused, count)

    def _count(self, refused: NotAccepted, count: int) -> None:
        if refused not in self._counts and len(self._counts) >= _MOST:
            refused = replace(refused, calling_ae=OTHERS, address="", sop_class_uid="")
        self._counts[refused] += count
