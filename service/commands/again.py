"""`wetread jobs resend` and `wetread jobs reread`, for the named jobs or all jobs that match."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

import click

from service.audit import AuditAction
from service.commands.audited import event
from service.commands.opened import actor
from service.jobs import JobState
from service.maintenance.repeat_jobs import RepeatOrder, chosen, run_order
from service.monitoring.state_names import state_word
from service.settings.config import load_settings
from service.store import Store
from service.store.operator.repeats import Selection

_WHEN: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_STATES: Final = [state.value for state in JobState]
_FILTER: Final = (
    click.argument("job_ids", nargs=-1),
    click.option(
        "--state", "states", multiple=True, type=click.Choice(_STATES, case_sensitive=False)
    ),
    click.option("--since", type=_WHEN, help="Jobs made since then, local time."),
    click.option("--until", type=_WHEN, help="Jobs made before then."),
    click.option("--destination", default="", help="Jobs whose results go to this destination."),
    click.option("--study", default="", help="Jobs of this Study Instance UID."),
    click.option("--read-by", default="", help="Jobs of this model."),
    click.option("--reason", default="", help="Recorded in the jobs' history."),
    click.option("--dry-run", is_flag=True, help="Show which jobs match; change nothing."),
)


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FILTER):
        command = option(command)
    return command


@click.command()
@click.option("--to", default="", help="Send to this destination only; it may be a new one.")
@_filtered
def resend(to: str, **options: Any) -> None:  # noqa: ANN401 - click's
    """Send the results of JOB_IDS again, or of all jobs that match the conditions.

    Without --state: delivered and failed ones. Jobs whose draft was superseded are left out.
    """
    _run("resend", options, to=to)


@click.command()
@click.option("--model", default="", help="Read by this configured model instead of the job's own.")
@_filtered
def reread(model: str, **options: Any) -> None:  # noqa: ANN401 - click's
    """Read the studies of JOB_IDS again, or of all jobs that match, each as a new revision.

    Without --state: delivered, failed and not analyzed ones. The images must still be kept.
    """
    _run("reread", options, model=model)


_AUDITED = {"resend": AuditAction.SENT_AGAIN, "reread": AuditAction.READ_AGAIN}


def _run(action: Literal["resend", "reread"], options: dict[str, Any], **target: str) -> None:
    order = RepeatOrder(
        action=action,
        job_ids=options["job_ids"],
        selection=_selection(options),
        actor=actor(),
        reason=options["reason"],
        audit=event(_AUDITED[action]),
        **target,
    )
    settings = load_settings()
    store = Store.open(settings)
    try:
        found = chosen(store, order)
        if options["dry_run"]:
            click.echo("\n".join([*found, f"{len(found)} jobs match; nothing was changed"]))
            return
        refused = 0
        for result in run_order(store, settings, order, found):
            if result.job is None:
                refused += 1
                click.echo(f"{result.job_id[:8]} refused: {result.refusal}", err=True)
            else:
                click.echo(f"{result.job_id[:8]} {_done(action, result.job.id, result.job.state)}")
    finally:
        store.close()
    if not found:
        click.echo("no job matches", err=True)
    click.get_current_context().exit(1 if refused or not found else 0)


def _done(action: str, job_id: str, state: str) -> str:
    return state_word(state) if action == "resend" else f"is read again as {job_id[:8]}"


def _selection(options: dict[str, Any]) -> Selection:
    def local(value: datetime | None) -> datetime | None:
        return value.astimezone() if value else None

    return Selection(
        states=tuple(JobState(state.upper()) for state in options["states"]),
        since=local(options["since"]),
        until=local(options["until"]),
        destination=options["destination"],
        study=options["study"],
        model=options["read_by"],
    )
