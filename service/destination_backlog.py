"""How each destination answers and what waits for it, with the sentences that say so. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final


class Trouble(StrEnum):
    """What a try that failed showed of its destination."""

    SILENT = "SILENT"  # no connection, or no complete answer in time
    REFUSED = "REFUSED"  # it answered, and did not take or list the results
    LOCAL = "LOCAL"  # the results could not be sent from here


class DestinationState(StrEnum):
    """How a destination answers, by the latest try that ended."""

    ANSWERING = "ANSWERING"
    SILENT = "SILENT"
    REFUSING = "REFUSING"
    CONFIGURATION = "CONFIGURATION"
    UNUSED = "UNUSED"


_STATES: Final = {
    Trouble.SILENT: DestinationState.SILENT,
    Trouble.REFUSED: DestinationState.REFUSING,
    Trouble.LOCAL: DestinationState.CONFIGURATION,
}
_WORDS: Final = {
    DestinationState.ANSWERING: "it takes other results",
    DestinationState.SILENT: "it does not answer",
    DestinationState.REFUSING: "it does not take them",
    DestinationState.CONFIGURATION: "they cannot be sent from here",
    DestinationState.UNUSED: "no try has ended so far",
}
_FAULTY: Final = frozenset(
    {DestinationState.SILENT, DestinationState.REFUSING, DestinationState.CONFIGURATION}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for one destination, and how its latest tries ended.

    Attributes:
        waiting: Results, and notices, that are due and not confirmed.
        oldest_at: Since when the oldest of them is due; None when none waits.
        succeeded_at: When it confirmed something last; None: never.
        failed_at: When a try failed last; None: never.
        trouble: What that try showed; None: never.
        last_error: Its error as a sentence; may name an address.
        tried_since: Since when the oldest result waits that was tried and is not confirmed; None when
            no result was tried.
        next_try_at: When the next result is due after the latest try that failed; None: at once.
        configured: Whether the settings name it.
    """

    destination: str
    waiting: int = 0
    oldest_at: datetime | None = None
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    trouble: Trouble | None = None
    last_error: str = ""
    tried_since: datetime | None = None
    next_try_at: datetime | None = None
    configured: bool = True

    @property
    def state(self) -> DestinationState:
        """How the destination answers."""
        if not self.configured:
            return DestinationState.CONFIGURATION
        if self.trouble and not self._succeeded_since():
            return _STATES[self.trouble]
        return DestinationState.ANSWERING if self.succeeded_at else DestinationState.UNUSED

    def _succeeded_since(self) -> bool:
        """Return whether something was confirmed after the latest failure."""
        if self.succeeded_at is None or self.failed_at is None:
            return self.succeeded_at is not None
        return self.succeeded_at >= self.failed_at

    @property
    def unreached_since(self) -> datetime | None:
        """Since when the destination cannot be reached; None where its latest try reached it."""
        if self.trouble is not Trouble.SILENT or self._succeeded_since():
            return None
        known = [each for each in (self.tried_since, self.succeeded_at) if each is not None]
        return max(known, default=self.failed_at)

    @property
    def is_faulty(self) -> bool:
        """Whether the latest try failed."""
        return self.state in _FAULTY

    def age(self, now: datetime) -> timedelta:
        """Return the age of the oldest result that waits; none when no result waits."""
        return max(timedelta(), now - self.oldest_at) if self.oldest_at else timedelta()

    def is_overdue(self, now: datetime, limit: timedelta) -> bool:
        """Return whether a result waits for longer than `limit`."""
        return self.age(now) > limit

    def pieces(self) -> tuple[str | datetime, ...]:
        """Return what waits and why, as words and the moments between them; names no address."""
        words = _WORDS[self.state] if self.configured else "the settings do not name it"
        if self.oldest_at is not None:
            count = "1 result waits" if self.waiting == 1 else f"{self.waiting} results wait"
            return (
                f"{count} for {self.destination}, the oldest from ",
                self.oldest_at,
                f"; {words}.",
            )
        if self.failed_at is not None and self.is_faulty:
            return (f"The latest result for {self.destination} failed ", self.failed_at, ".")
        return (f"No result waits for {self.destination}.",)

    def sentence(self) -> str:
        """Return the same as text, each moment in UTC."""
        return "".join(
            each if isinstance(each, str) else f"{each.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            for each in self.pieces()
        )
