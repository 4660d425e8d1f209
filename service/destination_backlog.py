"""The state of each destination and the results that wait for it, with texts for people. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.stated_time import stated


class Trouble(StrEnum):
    """The kind of a failed delivery attempt."""

    SILENT = "SILENT"  # no connection, or no complete answer in time
    REFUSED = "REFUSED"  # it answered, but did not accept or list the results
    LOCAL = "LOCAL"  # the results could not be sent from here


class DestinationState(StrEnum):
    """How a destination answers, by the latest attempt that ended."""

    ANSWERING = "ANSWERING"
    SILENT = "SILENT"
    REFUSING = "REFUSING"
    CONFIGURATION = "CONFIGURATION"
    UNUSED = "UNUSED"
    PAUSED = "PAUSED"  # by a person


_STATES: Final = {
    Trouble.SILENT: DestinationState.SILENT,
    Trouble.REFUSED: DestinationState.REFUSING,
    Trouble.LOCAL: DestinationState.CONFIGURATION,
}
_WORDS: Final = {
    DestinationState.ANSWERING: "it accepts other results",
    DestinationState.SILENT: "it does not answer",
    DestinationState.REFUSING: "it does not accept them",
    DestinationState.CONFIGURATION: "they cannot be sent from here",
    DestinationState.UNUSED: "no attempt has ended so far",
    DestinationState.PAUSED: "it is paused",
}
_FAULTY: Final = frozenset(
    {DestinationState.SILENT, DestinationState.REFUSING, DestinationState.CONFIGURATION}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A person has paused the deliveries to a destination; nothing is sent until it is resumed.

    Attributes:
        paused_by: Who paused it, as the audit trail names the person.
        reason: Why, as that person wrote it.
    """

    destination: str
    paused_at: datetime
    paused_by: str
    reason: str

    def pieces(self) -> tuple[str | datetime, ...]:
        """Return who paused it, when and why, as text with the time as a separate item."""
        opening = f"Deliveries to {self.destination} were paused by {self.paused_by} "
        return opening, self.paused_at, f": {self.reason.rstrip('.')}."

    @property
    def sentence(self) -> str:
        """The same as one text, with the time as `stated`."""
        return _plain(self.pieces())

    def is_forgotten(self, now: datetime, limit: timedelta) -> bool:
        """Return whether it has held for longer than `limit`."""
        return now - self.paused_at > limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits for one destination, and how its latest delivery attempts ended.

    Attributes:
        destination: The name of the destination.
        waiting: The number of results and notices that are due and not confirmed.
        oldest_at: Since when the oldest of them is due; None if none waits.
        succeeded_at: When the destination last confirmed something; None for never.
        failed_at: When an attempt last failed; None for never.
        trouble: The kind of that failure; None if there was none.
        last_error: The error of that attempt as a sentence; it may name an address.
        tried_since: Since when the oldest attempted and unconfirmed result waits; None if there is none.
        next_try_at: When the next result is due after the latest failed attempt; None for at once.
        configured: Whether the settings name the destination.
        pause: The pause that holds; None if deliveries go on.
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
    pause: Pause | None = None

    @property
    def state(self) -> DestinationState:
        """How the destination answers, or that it is paused."""
        if self.pause is not None:
            return DestinationState.PAUSED
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
        """Since when the destination cannot be reached; None if the latest attempt reached it."""
        if self.trouble is not Trouble.SILENT or self._succeeded_since():
            return None
        known = [each for each in (self.tried_since, self.succeeded_at) if each is not None]
        return max(known, default=self.failed_at)

    @property
    def is_faulty(self) -> bool:
        """Whether the latest attempt failed, or the settings do not name the destination."""
        return self.state in _FAULTY

    def age(self, now: datetime) -> timedelta:
        """Return the age of the oldest waiting result; zero if no result waits."""
        return max(timedelta(), now - self.oldest_at) if self.oldest_at else timedelta()

    def is_overdue(self, now: datetime, limit: timedelta) -> bool:
        """Return whether a result has waited longer than `limit`; False while it is paused."""
        return self.pause is None and self.age(now) > limit

    def pieces(self) -> tuple[str | datetime, ...]:
        """Return what waits and why, as text with the times as separate items; names no address."""
        known = self.configured or self.pause is not None
        text = _WORDS[self.state] if known else "the settings do not name it"
        if self.oldest_at is not None:
            count = "1 result waits" if self.waiting == 1 else f"{self.waiting} results wait"
            return (
                f"{count} for {self.destination}, the oldest from ",
                self.oldest_at,
                f"; {text}.",
            )
        if self.failed_at is not None and self.is_faulty:
            return (f"The latest result for {self.destination} failed ", self.failed_at, ".")
        return (f"No result waits for {self.destination}.",)

    def sentence(self) -> str:
        """Return the same as one text, with the times as `stated`."""
        return _plain(self.pieces())


def _plain(pieces: tuple[str | datetime, ...]) -> str:
    return "".join(each if isinstance(each, str) else stated(each) for each in pieces)
