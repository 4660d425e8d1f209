"""A process reports that it is alive, so that pages can say who is not."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from service.config import restarts
from service.errors import StoreError
from service.log import get_logger
from service.store import Store

BEAT_SECONDS: Final = 5.0

log = get_logger(__name__)


class Heartbeat:
    """Reports one process in each of its roles."""

    def __init__(self, store: Store, roles: Sequence[str], detail: str = "") -> None:
        """Take the store, the roles ("sweep"; "reading" and "delivery") and what it does now."""
        self._store = store
        self._roles = tuple(roles)
        self._detail = detail
        self._started_at = store.now()
        self._host = socket.gethostname()
        self._stop = threading.Event()

    def names(self) -> dict[str, str]:
        """Return for each role the name under which it is reported."""
        return {role: f"{role}@{self._host}:{os.getpid()}" for role in self._roles}

    def says(self, detail: str) -> None:
        """Report a word on what it does now, at once."""
        self._detail = detail
        self._beat()

    def _beat(self) -> None:
        try:
            for role, name in self.names().items():
                self._store.beat(
                    name,
                    role,
                    host=self._host,
                    pid=os.getpid(),
                    started_at=self._started_at,
                    restarts=restarts(),
                    detail=self._detail,
                )
        except StoreError as error:
            log.warning("heartbeat_failed", reason=str(error))

    def _run(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._beat()

    @contextmanager
    def beating(self) -> Iterator["Heartbeat"]:
        """Beat in a thread for the length of the block, then sign off."""
        self._beat()
        thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            with suppress(StoreError):
                for name in self.names().values():
                    self._store.sign_off(name)
