"""Measures the time of each part of a reading."""

import time


class Stopwatch:
    """Measures milliseconds between marks."""

    def __init__(self) -> None:
        self.spent_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str, *, waited_ms: float | None = None) -> None:
        """Record the time since the last mark under `name`, but `waited_ms` of it under "wait"."""
        now = time.perf_counter()
        if waited_ms is not None:
            self.spent_ms["wait"] = round(waited_ms, 1)
        self.spent_ms[name] = round((now - self._last) * 1000 - (waited_ms or 0.0), 1)
        self._last = now
