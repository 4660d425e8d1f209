"""`wetread probe`: the end-to-end checks, and the request for one now."""

import sys

import click
from rich.console import Console
from rich.table import Table

from service.audit import AuditAction
from service.commands.audited import event
from service.commands.opened import open_store
from service.errors import ConfigurationError
from service.monitoring.probe_health import probe_health
from service.records.probes import ProbeOutcome
from service.settings.config import load_settings


@click.group()
def probe() -> None:
    """List end-to-end checks; have one made now."""


@probe.command("list")
@click.option("--limit", default=20, show_default=True, help="Most checks to list.")
def list_probes(limit: int) -> None:
    """List the latest checks; the exit status is 1 if the latest failed or none ended in time."""
    settings = load_settings()
    with open_store() as store:
        found = store.probes(limit)
        fault = probe_health(store, settings).fault if settings.probe.enabled else ""
    table = Table("begun", "outcome", "stage", "seconds", "reason", box=None)
    for each in found:
        seconds = f"{each.duration.total_seconds():.1f}" if each.duration else ""
        failed = each.outcome is ProbeOutcome.FAILED or each.duration is None
        at = each.stage.text if failed else ""
        begun = f"{each.started_at.astimezone():%Y-%m-%d %H:%M:%S}"
        table.add_row(begun, each.outcome.value, at, seconds, each.reason)
    Console(markup=False).print(table)
    click.echo(fault or ("ok" if settings.probe.enabled else "The end-to-end check is off."))
    sys.exit(1 if fault else 0)


@probe.command()
def now() -> None:
    """Begin a check; the sweeper makes it, `wetread probe list` shows its result."""
    settings = load_settings()
    if not settings.probe.enabled:
        raise ConfigurationError("the end-to-end check is off: set probe.enabled = true")
    with open_store() as store:
        if store.drafting_stop() is not None:
            raise ConfigurationError("drafting is stopped: a check would not end")
        slot = f"now {store.now():%Y-%m-%dT%H:%M:%S.%f}"
        if not store.begin_probe(slot, event(AuditAction.REQUESTED_CHECK)):
            raise ConfigurationError("a check is running")
    click.echo("begun")
