"""`wetread notify`: list alerts, acknowledge one, send a test message to each target."""

import sys

import click
from rich.console import Console
from rich.table import Table

from service.audit import AuditAction
from service.commands.audited import event, note
from service.commands.opened import open_store
from service.errors import ConfigurationError
from service.monitoring.alert_rules import rule_of, title_of
from service.monitoring.alert_text import test_message
from service.monitoring.apprise_sender import NotSent, send
from service.settings.config import load_settings


@click.group()
def notify() -> None:
    """List and acknowledge alerts; test the targets of messages about incidents."""


@notify.command()
@click.argument("names", nargs=-1)
def test(names: tuple[str, ...]) -> None:
    """Send a test message to the targets NAMES, or to all; the exit status is 1 if one failed."""
    settings = load_settings()
    targets = {each.name: each for each in settings.notify.targets}
    unknown = [name for name in names if name not in targets]
    if unknown or not targets:
        known = ", ".join(targets) or "none"
        raise ConfigurationError(
            f"no table [[notify.targets]] names {unknown[0] if unknown else 'a target'}; "
            f"configured are: {known}"
        )
    failed = False
    with open_store() as store:
        note(store, AuditAction.TESTED, detail=f"messages to {', '.join(names or targets)}"[:200])
    for name in names or targets:
        try:
            send(targets[name], test_message(settings), settings.notify.timeout)
        except NotSent as error:
            failed = True
            click.echo(f"{name}: not sent: {error}")
        else:
            click.echo(f"{name}: sent")
    sys.exit(1 if failed else 0)


@notify.command()
def alerts() -> None:
    """List the open alerts; the exit status is 1 if one is not acknowledged."""
    with open_store() as store:
        found = store.open_incident_alerts()
    table = Table("alert", "level", "what", "about", "since", "incidents", "state", box=None)
    for each in found:
        state = "cause ended" if each.recovered_at else "lasts"
        state += f", acknowledged by {each.acknowledged_by}" if each.acknowledged_at else ""
        since, level = f"{each.opened_at.astimezone():%Y-%m-%d %H:%M}", rule_of(each.kind).level
        what = title_of(each.kind)
        table.add_row(str(each.id), level.word, what, each.subject, since, str(each.count), state)
    Console(markup=False).print(table if found else "no open alerts")
    sys.exit(1 if any(each.acknowledged_at is None for each in found) else 0)


@notify.command()
@click.argument("number", type=int)
def acknowledge(number: int) -> None:
    """Acknowledge the alert NUMBER: no further message is sent while its cause lasts."""
    with open_store() as store:
        done = store.acknowledge_incident_alert(
            number, lambda kind: rule_of(kind).recovers, event(AuditAction.ACKNOWLEDGED)
        )
    click.echo(
        "closed" if done.closed_at else "acknowledged; it is closed when its cause has ended"
    )
