"""Records of alerts about incidents, and of the messages that announce them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NotificationEvent(StrEnum):
    """What a message announces; stored in `notifications.event`."""

    OPENED = "opened"
    REMINDER = "reminder"
    RECOVERED = "recovered"


class NotificationOutcome(StrEnum):
    """What became of a message; stored in `notifications.outcome`."""

    WAITING = "waiting"
    SENT = "sent"
    DROPPED = "dropped"  # the alert changed before it was sent
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAlert:
    """An alert about incidents of one kind and subject.

    Attributes:
        kind: An `IncidentKind`, or the kind of another version.
        subject: What it is about; "" if it stands for incidents about several things.
        count: Incidents that it stands for.
        detail: That of the latest incident.
        occurrence: 1, and one more each time that its cause came back after a recovery.
        recovered_at: When its cause ended; None while it lasts, or if that cannot be observed.
        closed_at: When nothing more was to be done about it.
    """

    id: int
    kind: str
    subject: str
    opened_at: datetime
    last_at: datetime
    count: int
    detail: str
    occurrence: int
    acknowledged_by: str
    recovered_at: datetime | None
    acknowledged_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message about an alert to one target.

    Attributes:
        number: The alert's occurrence; of a reminder its number.
        attempts: Including the running one.
    """

    id: int
    alert_id: int
    target: str
    event: NotificationEvent
    number: int
    created_at: datetime
    attempts: int
    outcome: NotificationOutcome
    last_error: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertTarget:
    """A configured target, as the store needs it: its name and which kinds it gets."""

    name: str
    kinds: frozenset[str]
