"""Limit the deliveries in progress to each destination in one process, by its latest answers.

| destination                                   | deliveries at once                               |
|-----------------------------------------------|--------------------------------------------------|
| has not answered yet, or was silent last time | one                                              |
| answers                                       | up to `max_in_flight`; shared one: shared slots  |
| silent `OPEN_AFTER` times in a row            | one, after a pause that doubles each time        |

Each destination has one slot of its own, which no other destination can use; further slots
(`shared_slots`) are shared. Of the destinations in the last row at most `MOST_PROBES` are tried at once.
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
    """What a delivery showed about its destination."""

    ANSWERED = "answered"
    SILENT = "silent"
    UNKNOWN = "unknown"  # the delivery ended by an error of our own


@dataclass(slots=True)
class _DestinationState:
    """The state of one destination; `probe_at` is a time of the clock."""

    in_progress: int = 0
    answers: bool = False
    silent_tries: int = 0
    probe_at: float = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether the destination was silent too often, so that only probes are sent, after pauses."""
        return self.silent_tries >= OPEN_AFTER


class Bulkheads:
    """Counts the deliveries in progress to each destination; not thread-safe, see `DeliveryPool`."""

    def __init__(
        self,
        limits: Mapping[str, int],
        *,
        shared_slots: int,
        first: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the bulkheads with no delivery in progress.

        Args:
            limits: Maximum of deliveries at once to each destination, by name.
            shared_slots: Maximum of deliveries at once shared the first of each destination, in total.
            first: Seconds before the first probe of a silent destination.
            longest: Maximum of seconds between two probes.
            clock: Returns monotonic seconds.
        """
        self._limits = limits
        self._shared_slots = shared_slots
        self._first, self._longest = first, longest
        self._clock = clock
        self._states: defaultdict[str, _DestinationState] = defaultdict(_DestinationState)

    def full(self) -> frozenset[str]:
        """Return the destinations to which no delivery may be started now."""
        shared = sum(max(0, state.in_progress - 1) for state in self._states.values())
        probes = sum(state.in_progress for state in self._states.values() if state.is_open)
        now = self._clock()
        return frozenset(
            name
            for name, state in self._states.items()
            if self._is_full(name, state, shared, probes, now)
        )

    def _is_full(
        self, name: str, state: _DestinationState, shared: int, probes: int, now: float
    ) -> bool:
        if state.is_open:
            return bool(state.in_progress) or now < state.probe_at or probes >= MOST_PROBES
        if not state.in_progress:
            return False
        return (
            not state.answers
            or state.in_progress >= self._limits.get(name, 1)
            or shared >= self._shared_slots
        )

    def begin(self, name: str) -> None:
        """Count a delivery that starts."""
        self._states[name].in_progress += 1

    def end(self, name: str, outcome: Outcome) -> None:
        """Count a delivery as ended and record what it showed about the destination."""
        state = self._states[name]
        state.in_progress -= 1
        if outcome is Outcome.ANSWERED:
            state.answers, state.silent_tries = True, 0
        elif outcome is Outcome.SILENT:
            state.answers = False
            state.silent_tries += 1
            if state.is_open:
                state.probe_at = self._clock() + self._pause(state.silent_tries)

    def _pause(self, silent_tries: int) -> float:
        if silent_tries < OPEN_AFTER:
            return 0.0
        return backoff(silent_tries - OPEN_AFTER + 1, first=self._first, longest=self._longest)

    def next_pause(self, name: str) -> float:
        """Return the seconds without deliveries to a destination if its next attempt is silent, too."""
        state = self._states.get(name)
        return self._pause(state.silent_tries + 1 if state else 1)

    def reset(self, names: Collection[str]) -> None:
        """End the pause of these destinations, because a person asked to send to them."""
        for name in names:
            if name in self._states:
                self._states[name].probe_at = float("-inf")
