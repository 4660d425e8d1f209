"""`wetread destination`: lists, tests, pauses and resumes destinations."""

import json
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction
from service.checks.check import Grade, results
from service.checks.destinations import destination_check
from service.commands.audited import event
from service.commands.opened import open_store
from service.destination_backlog import Backlog
from service.errors import NotFound
from service.monitoring.destination_incidents import backlogs
from service.monitoring.state_names import state_word
from service.records.plain_json import plain
from service.settings.config import load_settings
from service.settings.keys.destinations import Destination, address_of
from service.stated_time import with_local_times
from service.web.job_actions import cleaned


@click.group()
def destination() -> None:
    """List, test, pause and resume the destinations of results."""


@destination.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def list_destinations(*, as_json: bool) -> None:
    """List the destinations with their state, what waits for them, and pauses."""
    settings = load_settings()
    with open_store() as store:
        found = backlogs(store, settings)
    sections = {each.name: each for each in settings.destinations}
    if as_json:
        rows = [_json(each, sections.get(each.destination)) for each in found]
        click.echo(json.dumps(rows, indent=1))
        return
    Console(markup=False).print(_table(found, sections) if found else "no destinations")


@destination.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; pages show it. No patient attribute.")
def pause(name: str, reason: str) -> None:
    """Pause NAME: its results wait, and no attempt is made, until it is resumed."""
    given = cleaned(reason)
    if not given:
        raise click.BadParameter("give a reason", param_hint="--reason")
    configured = [each.name for each in load_settings().destinations]
    audit = event(AuditAction.PAUSED, f"{name}: {given}")
    with open_store() as store:
        held = store.pause_destination(name, given, audit, configured=configured)
    click.echo(with_local_times(held.sentence))


@destination.command()
@click.argument("name")
def resume(name: str) -> None:
    """Resume NAME: the results that waited are sent."""
    with open_store() as store:
        count = store.resume_destination(name, event(AuditAction.RESUMED, name))
    click.echo(f"{name}: resumed; {count} due now")


@destination.command()
@click.argument("name")
def test(name: str) -> None:
    """Test NAME (C-ECHO, REST, DICOMweb or a file); exit status 1 if it does not work."""
    settings = load_settings()
    section = next((each for each in settings.destinations if each.name == name), None)
    if section is None:
        raise NotFound(f"no destination has the name {name}")
    with open_store() as store:
        store.record_audit(event(AuditAction.TESTED, name))
    result = next(iter(results([destination_check(settings, section)])))
    click.echo(result.line())
    if result.outcome.grade is Grade.FAULT:
        sys.exit(1)


def _table(found: list[Backlog], sections: dict[str, Destination]) -> Table:
    table = Table(
        Column("name", no_wrap=True),
        Column("kind", no_wrap=True),
        "address",
        Column("state", no_wrap=True),
        Column("waiting", justify="right"),
        "pause, or the latest error",
        box=None,
    )
    for each in found:
        section = sections.get(each.destination)
        error = each.last_error if each.is_faulty else ""
        note = with_local_times(each.pause.sentence) if each.pause else error
        table.add_row(
            each.destination,
            section.kind if section else "",
            address_of(section) if section else "not in the settings",
            state_word(each.state),
            str(each.waiting),
            note,
        )
    return table


def _json(backlog: Backlog, section: Destination | None) -> dict[str, object]:
    place = {
        "kind": section.kind if section else "",
        "address": address_of(section) if section else "",
        "state": backlog.state.value,
    }
    values: dict[str, object] = plain(asdict(backlog))
    return {**values, **place}
