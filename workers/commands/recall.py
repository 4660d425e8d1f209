"""`wetread recall`: withdraw every draft of one model from wherever it went."""

import getpass
import sys
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from service.config import load_settings
from service.destinations import destinations
from service.log import configure_logging
from service.recall import Order, Recall, Step, plan
from service.store import Store
from workers.equipment import this_equipment

_WHEN = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option("--model", required=True, help="Name of the model, as configured or in its drafts.")
@click.option("--version", help="Only this version of it.")
@click.option("--since", required=True, type=_WHEN, help="Drafts made since then, local time.")
@click.option("--reason", default="", help="Why; on notices and in the jobs' history.")
@click.option(
    "--apply", "really", is_flag=True, help="Do it; without this only show what would be."
)
def recall(model: str, version: str | None, since: datetime, reason: str, *, really: bool) -> None:
    """Withdraw every draft of a model: first shows what would be done, with --apply does it.

    Removed from an Orthanc of ours (may_remove), marked by a notice elsewhere, not sent where it has
    not arrived. Exit status 1 when something is left; run it again then.
    """
    if really and not reason.strip():
        raise click.UsageError("--apply needs a --reason")
    settings = load_settings()
    configure_logging(settings.log, process="recall")
    order = Order(
        model=model,
        since=since.astimezone(),
        version=version,
        reason=reason.strip(),
        actor=f"{getpass.getuser()} (command line)",
    )
    store = Store.open(settings)
    try:
        steps = plan(store, settings, order)
        if really:
            work = Recall(
                store, settings, destinations(settings), lambda: this_equipment(settings), order
            )
            steps = list(work.run(steps))
    finally:
        store.close()
    _show(steps, really=really)
    sys.exit(1 if any(step.failed for step in steps) else 0)


def _show(steps: list[Step], *, really: bool) -> None:
    table = Table("job", "drafted", "study", "rev", "destination", "done" if really else "would")
    for step in steps:
        made = step.job.produced_at or step.job.created_at
        table.add_row(
            step.job.id[:8],
            f"{made.astimezone():%Y-%m-%d %H:%M}",
            step.job.study_instance_uid,
            str(step.job.revision),
            step.destination,
            step.done or step.way,
        )
    Console().print(table if steps else "no drafts of that model since then")
    if steps and not really:
        click.echo("Nothing was changed. Stop the model's workers, then run it with --apply.")
