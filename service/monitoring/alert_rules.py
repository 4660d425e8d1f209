"""Which alert an incident opens: its level, what it is about, and what to do."""

import re
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final

from service.records import IncidentKind
from service.settings.keys.notify import NotifyTarget


class AlertLevel(IntEnum):
    """How urgent an alert is."""

    NOTICE = 0
    WARNING = 1
    ALARM = 2

    @property
    def word(self) -> str:
        """The level as in the settings."""
        return self.name.lower()


class Grouping(Enum):
    """Which incidents of one kind have a common alert."""

    SUBJECT = auto()  # those about the same destination, model, host, calling AE, token, …
    HOST = auto()  # the subject is a process; its process id differs after each restart
    KIND = auto()  # the subject is a Study or an Instance; one fault concerns many of them


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What an incident of a kind means for a person.

    Attributes:
        title: What happened, in a few words.
        advice: What to do, a sentence.
        grouping: Which incidents of this kind have a common alert.
        recovers: Whether the end of the cause is observed.
    """

    level: AlertLevel
    title: str
    advice: str
    grouping: Grouping = Grouping.SUBJECT
    recovers: bool = False


_NOTICE, _WARNING, _ALARM = AlertLevel.NOTICE, AlertLevel.WARNING, AlertLevel.ALARM
_QUEUE: Final = "The page Queue shows which studies are concerned."
_LOG: Final = "Look at the page Queue and the log of the process."
_DISK: Final = "Free space on the disk of the spool, or lower sweep.retention_days."
_TOKEN: Final = "Make a new token on the page Tokens, and give it to the program."  # noqa: S105 - no secret
_ARCHIVE: Final = "`wetread reconcile` lists them; with --fetch it fetches them."

_Kind = IncidentKind
_RULES: Final[dict[str, AlertRule]] = {
    _Kind.REFUSED: AlertRule(
        _NOTICE,
        "Associations were refused",
        "See Other peers on the page Network; add the calling AE if it may send.",
    ),
    _Kind.CONFLICT: AlertRule(
        _WARNING, "An image came twice with different content", _QUEUE, grouping=Grouping.KIND
    ),
    _Kind.LOST_IMAGE: AlertRule(
        _ALARM,
        "Images are missing from the spool",
        "Run `wetread spool verify`; send them again.",
        grouping=Grouping.KIND,
    ),
    _Kind.DAMAGED_IMAGE: AlertRule(
        _WARNING,
        "Images are damaged",
        "Run `wetread spool verify`; send them again.",
        grouping=Grouping.KIND,
    ),
    _Kind.DOUBT: AlertRule(
        _ALARM, "Drafts are in doubt", "Verify patient, order and image.", grouping=Grouping.KIND
    ),
    _Kind.COMMITMENT: AlertRule(
        _WARNING, "Storage commitment was not reported", "See `wetread commitment list`."
    ),
    _Kind.CALLERS_NOT_RELOADED: AlertRule(
        _WARNING,
        "Changed calling AEs are not in force",
        "Correct the settings file.",
        recovers=True,
    ),
    _Kind.NO_WORKER: AlertRule(_ALARM, "No worker reads the waiting studies", _LOG, recovers=True),
    _Kind.PROCESS_DIED: AlertRule(_WARNING, "A process ended and was restarted", _LOG),
    _Kind.PROCESS_SILENT: AlertRule(_WARNING, "A process is silent", _LOG, grouping=Grouping.HOST),
    _Kind.MODEL_NOT_LOADED: AlertRule(
        _ALARM, "A model could not be loaded", "Run `wetread load-model`."
    ),
    _Kind.READING_HANGS: AlertRule(
        _WARNING, "The reading of a study hung", _LOG, grouping=Grouping.KIND
    ),
    _Kind.BROKER_SILENT: AlertRule(_ALARM, "The message broker is silent", "Check Redis."),
    _Kind.DESTINATION_AWAY: AlertRule(
        _ALARM,
        "Results do not reach a destination",
        "Check that system; the results wait and are sent when it answers.",
        recovers=True,
    ),
    _Kind.DESTINATION_STILL_PAUSED: AlertRule(
        _WARNING,
        "A destination is still paused",
        "Resume it on the page Network, if the pause was forgotten.",
    ),
    _Kind.STUDIES_MISSING: AlertRule(_WARNING, "Studies are missing", _ARCHIVE),
    _Kind.ARCHIVE_NOT_COMPARED: AlertRule(
        _WARNING, "An archive is not compared", "Check that system."
    ),
    _Kind.TOKEN_EXPIRES_SOON: AlertRule(_WARNING, "A token expires soon", _TOKEN),
    _Kind.TOKEN_EXPIRED: AlertRule(_WARNING, "A token has expired", _TOKEN),
    _Kind.DISK_WARN: AlertRule(_WARNING, "The disk fills up", _DISK, recovers=True),
    _Kind.DISK_EARLY: AlertRule(
        _WARNING, "Files are removed early to make room", _DISK, recovers=True
    ),
    _Kind.DISK_FULL: AlertRule(
        _ALARM, "The disk is nearly full: images are refused", _DISK, recovers=True
    ),
    _Kind.DISK_NO_ROOM: AlertRule(
        _ALARM, "The disk is nearly full and no file can be removed", _DISK, recovers=True
    ),
    _Kind.UNDECIDED_REMOVED: AlertRule(
        _WARNING, "Images of undecided drafts were removed", _DISK, grouping=Grouping.KIND
    ),
    _Kind.FILES_NOT_REMOVED: AlertRule(
        _WARNING, "Old files could not be removed", _LOG, grouping=Grouping.KIND
    ),
    _Kind.CLOCK_LEAPT: AlertRule(_WARNING, "The clock was changed", "Check time synchronization."),
    _Kind.BREAK_GLASS: AlertRule(
        _ALARM, "The emergency account was used", "The page Audit shows by whom and from where."
    ),
    _Kind.AUDIT_NOT_EXPORTED: AlertRule(
        _ALARM,
        "The audit trail is not exported",
        "Check the syslog server and [audit].",
        recovers=True,
    ),
    _Kind.PROBE_FAILED: AlertRule(
        _ALARM,
        "The end-to-end check failed",
        "See the page Alerts, End-to-end check.",
        recovers=True,
    ),
    _Kind.NOTIFICATION_FAILED: AlertRule(
        _WARNING,
        "Messages about incidents do not arrive",
        "Check [[notify.targets]] with `wetread notify test`.",
        recovers=True,
    ),
    _Kind.STUDIES_UNACCOUNTED: AlertRule(
        _ALARM,
        "Studies are unaccounted for",
        "The page Overview names them and makes their jobs.",
        recovers=True,
    ),
}
# Kinds that end the alert of another kind about the same subject.
ENDS: Final[dict[str, str]] = {
    _Kind.DESTINATION_BACK: _Kind.DESTINATION_AWAY,
    _Kind.PROBE_PASSED: _Kind.PROBE_FAILED,
}
_OTHER: Final = AlertRule(_NOTICE, "", "The page Queue lists incidents.")
_UNKNOWN: Final = AlertRule(_WARNING, "", "The page Queue lists incidents.")
_KNOWN: Final = frozenset(each.value for each in IncidentKind)
# `Heartbeat.names`: role@host:pid
_PROCESS_ID: Final = re.compile(r":\d+$")


def rule_of(kind: str) -> AlertRule:
    """Return the rule of a kind of incident; a warning for a kind of another version."""
    return _RULES.get(kind, _OTHER if kind in _KNOWN else _UNKNOWN)


def alert_subject(kind: str, subject: str) -> str:
    """Return the subject of the alert that an incident opens; "" if its kind has one alert."""
    match rule_of(kind).grouping:
        case Grouping.KIND:
            return ""
        case Grouping.HOST:
            return _PROCESS_ID.sub("", subject)
        case Grouping.SUBJECT:
            return subject


def title_of(kind: str) -> str:
    """Return what a kind of incident means, in a few words."""
    return rule_of(kind).title or kind.replace("_", " ").capitalize()


def kinds_for(target: NotifyTarget, kinds: frozenset[str]) -> frozenset[str]:
    """Return those of these kinds that a target gets."""
    if target.kinds is not None:
        return kinds & frozenset(target.kinds)
    least = AlertLevel[target.level.upper()]
    return frozenset(each for each in kinds if rule_of(each).level >= least)
