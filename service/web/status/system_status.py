"""The Situation as it is now; what costs time is looked at every two seconds at most."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from service.destination_backlog import Backlog
from service.store import Store
from service.web.status.status_text import SystemStatus

_EVERY: Final = 2.0
# A commit costs a disk's time.
_WRITE_EVERY: Final = 10.0


def waited_for(store: Store, names: Iterable[str]) -> dict[str, Backlog]:
    """Return the state of these destinations, and of others that results wait for, by name.

    Raises:
        StoreError: The database does not answer.
    """
    return {each.destination: each for each in store.backlogs(names)}


class StatusObserver:
    """Looks at processes, broker and database; call it in a thread.

    While one thread waits for a broker that is silent, the others have what was known before.
    """

    def __init__(
        self,
        store: Store,
        broker_fault: Callable[[], str],
        roles: Mapping[str, str] | None = None,
        writing_fault: Callable[[], str] = str,
        destinations: Collection[str] = (),
    ) -> None:
        """Take where to look.

        Args:
            store: The store.
            broker_fault: Returns what is wrong with the broker, or "".
            roles: What the workers of each model report themselves as.
            destinations: The names of those that are configured.
            writing_fault: Returns why the database cannot be written, or ""; it writes to find out.
        """
        self._roles = roles or {}
        self._store = store
        self._destinations = destinations
        self._ask_broker = broker_fault
        self._ask_writing = writing_fault
        self._turn = threading.Lock()
        self._asked = self._written = float("-inf")
        self._broker_fault = self._database_fault = ""
        self._ahead: Mapping[str, int] = {}
        self._backlogs: Mapping[str, Backlog] = {}

    def situation(self) -> SystemStatus:
        """Return the service's situation.

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
            backlogs=self._backlogs,
        )

    def _look(self) -> None:
        """Look again at what costs time, unless that was done lately or is being done."""
        first = self._asked == float("-inf")
        if not self._turn.acquire(timeout=_EVERY if first else 0):
            return
        try:
            if time.monotonic() - self._asked < _EVERY:
                return
            self._ahead = self._store.ahead()
            self._backlogs = waited_for(self._store, self._destinations)
            self._broker_fault = self._ask_broker()
            if time.monotonic() - self._written >= _WRITE_EVERY:
                self._database_fault = self._ask_writing()
                self._written = time.monotonic()
            self._asked = time.monotonic()
        finally:
            self._turn.release()
