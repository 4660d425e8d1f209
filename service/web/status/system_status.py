"""The current SystemStatus; expensive queries are made every two seconds at most."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from service.destination_backlog import Backlog
from service.store import Store
from service.web.status.status_text import SystemStatus

_EVERY: Final = 2.0
# The check whether the database can be written commits, which costs a disk write.
_WRITE_EVERY: Final = 10.0


def waited_for(store: Store, names: Iterable[str]) -> dict[str, Backlog]:
    """Return the state of the named destinations, and of others for which results wait, by name.

    Raises:
        StoreError: The database does not answer.
    """
    return {each.destination: each for each in store.backlogs(names)}


class StatusObserver:
    """Observes processes, broker and database; it blocks, so call it in a thread.

    While one thread waits for a broker that does not answer, the others get the previous result.
    """

    def __init__(
        self,
        store: Store,
        broker_fault: Callable[[], str],
        roles: Mapping[str, str] | None = None,
        writing_fault: Callable[[], str] = str,
        destinations: Collection[str] = (),
    ) -> None:
        """Take what to observe.

        Args:
            store: The store.
            broker_fault: Returns why the broker cannot be used, or "".
            roles: The role that the workers of each model report, by model name.
            destinations: The names of the configured destinations.
            writing_fault: Returns why the database cannot be written, or ""; it writes to find out.
        """
        self._roles = roles or {}
        self._store = store
        self._destinations = destinations
        self._ask_broker = broker_fault
        self._ask_writing = writing_fault
        self._lock = threading.Lock()
        self._asked = self._written = float("-inf")
        self._broker_fault = self._database_fault = ""
        self._ahead: Mapping[str, int] = {}
        self._urgent: Mapping[str, int] = {}
        self._backlogs: Mapping[str, Backlog] = {}

    def situation(self) -> SystemStatus:
        """Return the current state of the service.

        Raises:
            StoreError: The database does not answer.
        """
        self._look()
        return SystemStatus(
            now=self._store.now(),
            broker_fault=self._broker_fault,
            database_fault=self._database_fault,
            processes=self._store.processes(),
            roles=self._roles,
            ahead=self._ahead,
            urgent=self._urgent,
            backlogs=self._backlogs,
            stop=self._store.drafting_stop(),
        )

    def _look(self) -> None:
        """Repeat the expensive queries, unless another thread does so or did within two seconds."""
        # Only the first callers wait for the lock; later ones use the previous result.
        first = self._asked == float("-inf")
        if not self._lock.acquire(timeout=_EVERY if first else 0):
            return
        try:
            if time.monotonic() - self._asked < _EVERY:
                return
            self._ahead = self._store.ahead()
            self._urgent = self._store.urgent_waiting()
            self._backlogs = waited_for(self._store, self._destinations)
            self._broker_fault = self._ask_broker()
            if time.monotonic() - self._written >= _WRITE_EVERY:
                self._database_fault = self._ask_writing()
                self._written = time.monotonic()
            self._asked = time.monotonic()
        finally:
            self._lock.release()
