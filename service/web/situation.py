"""The Situation as it is now, asked at most every two seconds however many pages are open."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from service.store import Store
from service.web.words import Situation

_BROKER_EVERY: Final = 2.0


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

    def situation(self) -> Situation:
        """Return the service's situation.

        Raises:
            StoreError: The database does not answer.
        """
        return Situation(
            now=self._store.now(),
            broker_fault=self._fault_now(),
            processes=self._store.processes(),
            roles=self._roles,
            ahead=self._store.ahead(),
        )

    def _fault_now(self) -> str:
        with self._lock:
            if time.monotonic() - self._asked >= _BROKER_EVERY:
                self._fault = self._broker_fault()
                self._asked = time.monotonic()
            return self._fault
