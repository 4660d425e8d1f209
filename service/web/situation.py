"""The Situation as it is now; what is dear to ask is asked every two seconds at most."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from service.store import Store
from service.web.words import Situation

_EVERY: Final = 2.0


class Observer:
    """Looks at processes and broker; call it in a thread."""

    def __init__(
        self,
        store: Store,
        broker_fault: Callable[[], str],
        roles: Mapping[str, str] | None = None,
    ) -> None:
        """Take where to look, and what the workers of each model report themselves as."""
        self._roles = roles or {}
        self._store = store
        self._broker_fault = broker_fault
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._fault = ""
        self._ahead: Mapping[str, int] = {}

    def situation(self) -> Situation:
        """Return the service's situation.

        Raises:
            StoreError: The database does not answer.
        """
        fault, ahead = self._lately()
        return Situation(
            now=self._store.now(),
            broker_fault=fault,
            processes=self._store.processes(),
            roles=self._roles,
            ahead=ahead,
        )

    def _lately(self) -> tuple[str, Mapping[str, int]]:
        """Return the broker's fault and how many are before each job, of the last two seconds."""
        with self._lock:
            if time.monotonic() - self._asked >= _EVERY:
                self._fault, self._ahead = self._broker_fault(), self._store.ahead()
                self._asked = time.monotonic()
            return self._fault, self._ahead
