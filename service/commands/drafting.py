"""`wetread drafting`: stop drafting for all studies, and start it again."""

import click

from service.audit import AuditAction, AuditEvent
from service.commands.opened import actor, open_store
from service.web.job_actions import cleaned


@click.group()
def drafting() -> None:
    """Stop drafting, and start it again; studies are received meanwhile and wait."""


@drafting.command()
def status() -> None:
    """Print whether drafting is stopped, by whom and why."""
    with open_store() as store:
        held = store.drafting_stop()
    click.echo(
        f"{held.sentence} Since {held.stopped_at.astimezone():%Y-%m-%d %H:%M}." if held else "on"
    )


@drafting.command()
@click.option("--reason", required=True, help="Why; shown on every page. No patient attribute.")
def stop(reason: str) -> None:
    """Stop drafting within seconds; readings in progress end without a draft."""
    given = cleaned(reason)
    if not given:
        raise click.BadParameter("give a reason", param_hint="--reason")
    event = AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor=actor(), detail=given)
    with open_store() as store:
        click.echo(store.stop_drafting(given, event).sentence)


@drafting.command()
def start() -> None:
    """Start drafting again; the studies that waited are read."""
    with open_store() as store:
        store.start_drafting(AuditEvent(action=AuditAction.STARTED_DRAFTING, actor=actor()))
    click.echo("drafting is on")
