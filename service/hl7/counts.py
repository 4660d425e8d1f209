"""Counts of HL7 messages, kept in memory and written to the database every few seconds."""

import threading
from collections import Counter
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.background import Task
from service.records.hl7 import MessageResult
from service.store import Store

_EVERY: Final = 2.0

log = get_logger(__name__)


class MessageCounts:
    """Counts messages by their result; thread-safe."""

    def __init__(self, store: Store) -> None:
        """Take the store to which the counts are written."""
        self._store = store
        self._lock = threading.Lock()
        self._counts: Counter[MessageResult] = Counter()
        self._is_failing = False

    def add(self, result: MessageResult) -> None:
        """Count a message."""
        with self._lock:
            self._counts[result] += 1

    def write(self) -> None:
        """Write the counts since the last write; keep them if the database does not accept them."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            self._store.add_hl7_messages(counts)
            self._is_failing = False
        except StoreError as error:
            if not self._is_failing:
                log.warning("hl7_counts_not_written", reason=type(error).__name__)
            self._is_failing = True
            with self._lock:
                self._counts.update(counts)

    def write_until(self, stop: threading.Event) -> None:
        """Write the counts every two seconds until the event is set, then once more."""
        task = Task("write HL7 counts")
        while not stop.wait(_EVERY):
            task.attempt(self.write)
        self.write()
