"""`wetread recall`: withdraws every draft of a model, or of a study, from its destinations."""

import getpass
import sys
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from service.log import configure_logging
from service.maintenance.recall import Recall, RecallOrder, RecallStep, draft_filter, plan
from service.settings.config import Settings, load_settings
from service.settings.destination_factory import destinations
from service.store import Store
from workers.equipment import this_equipment

_WHEN = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option(
    "--model",
    help="Name of the model: as configured, as in its drafts, or the `model` of its table.",
)
@click.option("--version", help="Only this version of it.")
@click.option(
    "--since", type=_WHEN, help="Drafts made since then, local time; needed without --study."
)
@click.option("--study", help="Only the drafts of this Study Instance UID.")
@click.option("--reason", default="", help="Reason, for notices and the history of the jobs.")
@click.option(
    "--apply",
    "really",
    is_flag=True,
    help="Withdraw the drafts; without this option only show them.",
)
def recall(
    model: str | None,
    version: str | None,
    since: datetime | None,
    study: str | None,
    reason: str,
    *,
    really: bool,
) -> None:
    """Withdraw every draft of a model, or of a study: without --apply only show them.

    A draft is removed from an Orthanc with may_remove, marked by a notice at other destinations, and
    not sent where it has not arrived. Exit status 1 if no draft matches (the existing models are
    listed), or if a step is left: run it again then.
    """
    if study is None and (model is None or since is None):
        raise click.UsageError("name --model and --since, or --study")
    if really and not reason.strip():
        raise click.UsageError("--apply needs a --reason")
    settings = load_settings()
    configure_logging(settings.log, process="recall")
    order = RecallOrder(
        model=model,
        since=since.astimezone() if since else None,
        version=version,
        reason=reason.strip(),
        actor=f"{getpass.getuser()} (command line)",
        study=study,
    )
    store = Store.open(settings)
    try:
        sys.exit(_run(store, settings, order, really=really))
    finally:
        store.close()


def _run(store: Store, settings: Settings, order: RecallOrder, *, really: bool) -> int:
    """Carry out the recall, or show what it would do; return the exit status."""
    if not store.jobs_with_drafts(draft_filter(settings, order)):
        click.echo(_nothing_matches(store, settings, order))
        return 1
    steps = plan(store, settings, order)
    if really:
        equipment = lambda: this_equipment(settings)  # noqa: E731 - made when a notice is
        work = Recall(store, settings, destinations(settings), equipment, order)
        steps = list(work.run(steps))
    _show(steps, really=really)
    return 1 if any(step.failed for step in steps) else 0


def _nothing_matches(store: Store, settings: Settings, order: RecallOrder) -> str:
    """Return a message with the drafts that exist, by model and version, and the configured models."""
    asked = [
        f"of the model {order.model!r}" if order.model else "",
        f"version {order.version!r}" if order.version else "",
        f"of study {order.study}" if order.study else "",
        f"since {order.since:%Y-%m-%d %H:%M}" if order.since else "",
    ]
    drafted = [
        f"  {each.name} ({each.own_name}), version {each.version}: {each.drafts} "
        f"{'draft' if each.drafts == 1 else 'drafts'}"
        + (f", the last on {each.last.astimezone():%Y-%m-%d %H:%M}" if each.last else "")
        for each in store.drafted_models()
    ]
    configured = [
        f"  {name} (model {each.model}), version {each.model_version}"
        for name, each in settings.readings().items()
    ]
    return "\n".join(
        [
            f"There are no drafts {' '.join(part for part in asked if part)}.",
            "Drafts in the database are by:",
            *(drafted or ["  no model: there are none"]),
            "Configured models are:",
            *configured,
        ]
    )


def _show(steps: list[RecallStep], *, really: bool) -> None:
    if not steps:
        click.echo("Nothing is left to do: these drafts are withdrawn.")
        return
    table = Table(
        "job", "drafted", "study", "rev", "model", "destination", "done" if really else "would"
    )
    for step in steps:
        made = step.job.produced_at or step.job.created_at
        table.add_row(
            step.job.id[:8],
            f"{made.astimezone():%Y-%m-%d %H:%M}",
            step.job.study_instance_uid,
            str(step.job.revision),
            f"{step.job.model_name} {step.job.model_version}",
            step.destination or "none",
            step.done or step.method,
        )
    Console().print(table)
    if not really:
        click.echo("Nothing was changed. Stop the model's workers, then run it with --apply.")
