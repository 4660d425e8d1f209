"""Who may send, as it is configured now: the file is read again when it changes or on SIGHUP."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from service.config import Settings
from service.errors import ConfigurationError
from service.log import get_logger
from service.sections import Caller

log = get_logger(__name__)


class RateLimits:
    """Counts the films of each caller in a bucket that refills steadily."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the clock, in seconds."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._turn = threading.Lock()

    def takes(self, ae_title: str, per_minute: int) -> bool:
        """Return whether one more film is within the limit, and count it if so."""
        now = self._clock()
        with self._turn:
            left, then = self._buckets.get(ae_title, (float(per_minute), now))
            left = min(float(per_minute), left + (now - then) * per_minute / 60)
            allowed = left >= 1
            self._buckets[ae_title] = (left - 1 if allowed else left, now)
            return allowed


class Callers:
    """The callers' settings in force; safe to ask from many threads."""

    def __init__(self, settings: Settings, path: Path | None, load: Callable[[], Settings]) -> None:
        """Take the settings in force, the file that they came from, and what loads them again."""
        self._settings = settings
        self._path = path
        self._load = load
        self._state = self._file_state()

    def __call__(self, ae_title: str) -> Caller | None:
        """Return what is configured for a calling AE title, or None when it may not send."""
        return self._settings.caller(ae_title)

    def look(self, *, asked: bool = False) -> None:
        """Load the file again when it has changed, or when somebody asked; a broken one is ignored."""
        state = self._file_state()
        if state == self._state and not asked:
            return
        self._state = state
        try:
            fresh = self._load()
        except ConfigurationError as error:
            log.error("callers_not_reloaded", reason=str(error))
            return
        self._settings = fresh
        log.info("callers_reloaded", callers=len(fresh.receiver.callers))

    def _file_state(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size
