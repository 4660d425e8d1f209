"""The text of a message about an alert; it holds no patient attribute and no UID."""

import re
from dataclasses import dataclass
from typing import Final

from service.monitoring.alert_rules import rule_of, title_of
from service.records.alerts import IncidentAlert, NotificationEvent
from service.sentence import ended
from service.settings.config import Settings
from service.stated_time import local, with_local_times

# UIDs name a study: a message leaves the hospital's network, so the page names it, not the message.
_UID: Final = re.compile(r"\b\d+(?:\.\d+){4,}\b")
_LONGEST: Final = 400
_HIDDEN: Final = "(see the page)"
_HEADS: Final = {
    NotificationEvent.OPENED: "",
    NotificationEvent.REMINDER: "Still open: ",
    NotificationEvent.RECOVERED: "Ended: ",
}


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its subject line and its text."""

    title: str
    body: str


def message_of(alert: IncidentAlert, event: NotificationEvent, settings: Settings) -> Message:
    """Return the message that announces this event of an alert."""
    rule = rule_of(alert.kind)
    site = f" ({settings.site_name})" if settings.site_name else ""
    title = f"Wetread{site}: {_HEADS[event]}{title_of(alert.kind)}"
    subject = f"{without_uids(alert.subject)}: " if alert.subject else ""
    lines = [
        f"{subject}{_detail(alert)}",
        _since(alert, event),
        f"What to do: {rule.advice}" if event is not NotificationEvent.RECOVERED else "",
        where_to_look(settings),
    ]
    return Message(title, "\n".join(filter(None, lines)))


def without_uids(text: str) -> str:
    """Return a text with each UID replaced."""
    return _UID.sub(_HIDDEN, text)


def where_to_look(settings: Settings) -> str:
    """Return a sentence that leads to the page of alerts."""
    if settings.web.public_url is None:
        return "Details, and the button that acknowledges it: page Alerts."
    return f"Details, and the button that acknowledges it: {settings.web.public_url.rstrip('/')}/alerts"


def test_message(settings: Settings) -> Message:
    """Return the message of `wetread notify test`."""
    site = f" ({settings.site_name})" if settings.site_name else ""
    return Message(
        f"Wetread{site}: test",
        "This is a test of the messages about incidents. Nothing has happened.",
    )


def _since(alert: IncidentAlert, event: NotificationEvent) -> str:
    count = f", {alert.count} incidents" if alert.count > 1 else ""
    if event is NotificationEvent.RECOVERED and alert.recovered_at is not None:
        return f"It lasted from {local(alert.opened_at)} to {local(alert.recovered_at)}{count}."
    return f"Since {local(alert.opened_at)}{count}."


def _detail(alert: IncidentAlert) -> str:
    return with_local_times(ended(without_uids(alert.detail))[:_LONGEST])
