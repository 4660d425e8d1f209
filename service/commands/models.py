"""`wetread model`: the configured models, and which of them reads new studies."""

import json

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction, AuditEvent
from service.commands.opened import actor, open_store
from service.errors import ConfigurationError
from service.queue.names import reading_queues
from service.settings.config import Settings, load_settings
from service.store import Store
from service.web.models.view import ModelsView, as_json, models_view
from service.web.status.status_text import SystemStatus


@click.group()
def model() -> None:
    """List the models, and choose the one that reads new studies."""


@model.command("list")
@click.option("--json", "as_json_text", is_flag=True, help="Print JSON, for programs.")
def list_models(*, as_json_text: bool) -> None:
    """List the configured models: where they are loaded, drafts, and which reads new studies."""
    settings = load_settings()
    with open_store() as store:
        view = models_view(store, settings, _situation(store, settings))
    if as_json_text:
        click.echo(json.dumps(as_json(view), indent=1))
        return
    Console(markup=False).print(_table(view))
    if view.stop is not None:
        click.echo(view.stop.sentence)


@model.command()
@click.argument("name")
def use(name: str) -> None:
    """Let the model NAME read new studies from now on, without a restart.

    It applies to studies that have no job yet, from calling AEs that name no model.
    """
    settings = load_settings()
    if name not in settings.readings():
        known = ", ".join(settings.readings())
        reason = "is a shadow model" if name in settings.shadows() else "is not configured"
        raise ConfigurationError(f"the model {name!r} {reason}; models that read: {known}")
    with open_store() as store:
        store.use_model(
            name, AuditEvent(action=AuditAction.CHOSE_MODEL, actor=actor(), detail=name)
        )
    click.echo(f"{name} reads new studies")


def _situation(store: Store, settings: Settings) -> SystemStatus:
    return SystemStatus(
        now=store.now(),
        processes=store.processes(),
        roles=reading_queues(settings),
        stop=store.drafting_stop(),
    )


def _table(view: ModelsView) -> Table:
    names = ("name", "version", "reads", "loaded on", "drafts", "last error")
    table = Table(
        *(Column(name, overflow="fold") for name in names), box=None, padding=(0, 1, 0, 0)
    )
    for each in view.models:
        reads = "shadow" if each.is_shadow else "new studies" if each.reads_new else "if named"
        hosts = ", ".join(place.host for place in each.places if place.alive)
        failure = each.shadow.last_error if each.shadow else each.failure
        table.add_row(
            each.name, each.version, reads, hosts or "-", str(each.drafts), failure or "-"
        )
    return table
