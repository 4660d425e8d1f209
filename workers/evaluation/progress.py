"""The progress of a run on stderr: a line that is renewed on a terminal, else one in 30 seconds."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from workers.evaluation.draft_rows import DraftState

_BETWEEN_LINES: Final = 30.0
_BETWEEN_RENEWALS: Final = 0.5
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Counts finished studies and says how many remain and for how long."""

    def __init__(
        self,
        total: int,
        *,
        already: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count.

        Args:
            total: Studies of the run.
            already: How many of them an earlier run finished.
            stream: Where to; stderr when None.
            clock: Seconds.
        """
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._clock = clock
        self._begun = self._shown = clock()
        self._total, self._already = total, already
        self._done = self._failed = self._refused = self._tokens = 0

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count a study."""
        self._done += 1
        self._failed += row["state"] == DraftState.ERROR
        self._refused += row["state"] == DraftState.NOT_ANALYSED
        self._tokens += int(row.get("tokens") or 0)

    def show(self, *, last: bool = False) -> None:
        """Write the line if it is due."""
        now = self._clock()
        wait = _BETWEEN_RENEWALS if self._terminal else _BETWEEN_LINES
        if not last and now - self._shown < wait:
            return
        self._shown = now
        line = self.line()
        if self._terminal:
            self._stream.write(f"{_CLEAR}{line}" + ("\n" if last else ""))
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def line(self) -> str:
        """Return the state in words."""
        seconds = max(self._clock() - self._begun, 1e-9)
        done, rate = self._already + self._done, self._done / seconds
        parts = [f"{done} of {self._total} studies"]
        if self._done:
            remaining = (self._total - done) / rate
            parts += [f"{_rate(rate)}", f"{_duration(remaining)} left"]
        if self._tokens:
            parts.append(f"{self._tokens / seconds:.0f} tokens/s")
        parts += [f"{self._refused} not analyzed", f"{self._failed} failed"]
        return ", ".join(parts)

    @property
    def facts(self) -> dict[str, float]:
        """Seconds and tokens of this run, for the manifest."""
        seconds = self._clock() - self._begun
        return {"studies": self._done, "seconds": round(seconds, 1), "tokens": self._tokens}


def _rate(per_second: float) -> str:
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
