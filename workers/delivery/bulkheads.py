"""How many deliveries each destination may have under way in one process, by how it answers.

| destination                                   | deliveries at once                               |
|-----------------------------------------------|--------------------------------------------------|
| has not answered yet, or was silent last time | one                                              |
| answers                                       | one, and up to `max_in_flight` of a common stock |
| silent `OPEN_AFTER` times in a row            | one, after a pause that doubles each time        |

Each destination so has a slot of its own, which no other can take. Of the silent ones in the last row at
most `MOST_PROBES` are tried at once.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from workers.retry_policy import backoff

OPEN_AFTER: Final = 3
MOST_PROBES: Final = 16


class Outcome(Enum):
    """What a delivery showed of its destination."""

    ANSWERED = "answered"
    SILENT = "silent"
    UNKNOWN = "unknown"  # it ended before the destination could answer


@dataclass(slots=True)
class _Lane:
    under_way: int = 0
    answers: bool = False
    silent_tries: int = 0
    probe_at: float = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether the destination was silent too often, so that only a probe is made now and then."""
        return self.silent_tries >= OPEN_AFTER


class Bulkheads:
    """Counts what is under way to each destination; not safe among threads, see `DeliveryPool`."""

    def __init__(
        self,
        limits: Mapping[str, int],
        *,
        stock: int,
        first: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the limits.

        Args:
            limits: Deliveries at once to each destination.
            stock: Deliveries at once beyond the first of each destination, all together.
            first: Seconds before the first probe of a silent destination.
            longest: Seconds between two probes, at most.
            clock: Seconds by a clock that nobody sets.
        """
        self._limits = limits
        self._stock = stock
        self._first, self._longest = first, longest
        self._clock = clock
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)

    def full(self) -> frozenset[str]:
        """Return the destinations to which nothing may be started now."""
        beyond = sum(max(0, lane.under_way - 1) for lane in self._lanes.values())
        probes = sum(lane.under_way for lane in self._lanes.values() if lane.is_open)
        now = self._clock()
        return frozenset(
            name
            for name, lane in self._lanes.items()
            if self._is_full(name, lane, beyond, probes, now)
        )

    def _is_full(self, name: str, lane: _Lane, beyond: int, probes: int, now: float) -> bool:
        if lane.is_open:
            return bool(lane.under_way) or now < lane.probe_at or probes >= MOST_PROBES
        if not lane.under_way:
            return False
        return (
            not lane.answers or lane.under_way >= self._limits.get(name, 1) or beyond >= self._stock
        )

    def begin(self, name: str) -> None:
        """Count a delivery that starts."""
        self._lanes[name].under_way += 1

    def end(self, name: str, outcome: Outcome) -> None:
        """Count a delivery as over, and note what it showed of the destination."""
        lane = self._lanes[name]
        lane.under_way -= 1
        if outcome is Outcome.ANSWERED:
            lane.answers, lane.silent_tries = True, 0
        elif outcome is Outcome.SILENT:
            lane.answers = False
            lane.silent_tries += 1
            if lane.is_open:
                lane.probe_at = self._clock() + self._pause(lane.silent_tries)

    def _pause(self, silent_tries: int) -> float:
        if silent_tries < OPEN_AFTER:
            return 0.0
        return backoff(silent_tries - OPEN_AFTER + 1, first=self._first, longest=self._longest)

    def next_pause(self, name: str) -> float:
        """Return the seconds for which nothing is sent to a destination if one more try is silent."""
        lane = self._lanes.get(name)
        return self._pause(lane.silent_tries + 1 if lane else 1)

    def reset(self, names: Collection[str]) -> None:
        """Let these destinations be tried at once: a person asked for it."""
        for name in names:
            if name in self._lanes:
                self._lanes[name].probe_at = float("-inf")
