"""`wetread jobs`: the queue on the command line."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction
from service.commands.again import reread, resend
from service.commands.audited import event
from service.commands.opened import actor, open_store
from service.errors import NotFound
from service.jobs import DraftStatus, IllegalTransition, JobState
from service.monitoring.draft_warnings import alarm_sentence
from service.monitoring.state_names import state_word
from service.queue.broker_health import check_broker
from service.queue.names import reading_queues
from service.records import Job
from service.settings.config import load_settings
from service.store import Store
from service.web.job_json import job_in_full, jobs_json
from service.web.status.status_text import SystemStatus
from service.web.status.system_status import waited_for

_STATES = [state.value for state in JobState]
# Terminal width from which the whole Study Instance UID fits beside the reason.
_WIDE: Final = 150
_UID_END: Final = 8
# Number of characters above which the list prints an equal reason only once.
_LONG_REASON: Final = 40
_TIME_KEYS: Final = frozenset({"at", "created_at", "updated_at", "not_before"})
_STATE_KEYS: Final = frozenset({"state", "draft_status", "to_state", "withdrawal"})
# Left out of the lines of the page, which would be too long.
_ONLY_JSON: Final = frozenset(
    {"sop_class_uid", "series_instance_uid", "sha256", "first_error", "confirmed_at", "from_state"}
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def jobs() -> None:
    """List, show, retry and cancel jobs; send and read again."""


jobs.add_command(resend)
jobs.add_command(reread)


@jobs.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES, case_sensitive=False))
@click.option("--study", help="Only this Study Instance UID.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@_as_json
def list_jobs(states: tuple[str, ...], study: str | None, limit: int, *, as_json: bool) -> None:
    """List jobs, the newest first."""
    with open_store() as store:
        chosen = tuple(JobState(state.upper()) for state in states) or None
        found = store.jobs(states=chosen, study=study, limit=limit)
        described = jobs_json(store, found, _situation(store, found))
    if as_json:
        click.echo(json.dumps(described, indent=1))
        return
    console = Console(markup=False)
    listed = [(job, each["why"]) for job, each in zip(found, described, strict=True)]
    console.print(_table(listed, wide=console.width >= _WIDE) if listed else "no jobs")


def _table(listed: Sequence[tuple[Job, str]], *, wide: bool) -> Table:
    """Return the table of jobs; if not `wide`, without lines and with only the ends of UIDs."""
    study = Column("study", overflow="fold", no_wrap=not wide)
    columns = ("job", "state", "age", "from", study, "rev", "reason")
    box = HEAVY_HEAD if wide else None
    first: dict[str, str] = {}
    table = Table(*columns, box=box, padding=(0, 1) if wide else (0, 1, 0, 0))
    for job, reason in listed:
        uid = job.study_instance_uid
        table.add_row(
            job.id[:8],
            _state(job),
            _age(job.created_at),
            job.calling_ae,
            uid if wide or len(uid) <= _UID_END else f"…{uid[-_UID_END:]}",
            str(job.revision),
            _once(reason, job.id[:8], first),
            style="red" if alarm_sentence(job) else None,
        )
    return table


def _once(reason: str, job_id: str, first: dict[str, str]) -> str:
    """Return a long reason only for the first job that has it; `first` maps reasons to that job's id."""
    known = first.setdefault(reason, job_id)
    return reason if known == job_id or len(reason) <= _LONG_REASON else f"as job {known}"


def _situation(store: Store, jobs: Sequence[Job]) -> SystemStatus:
    """Return the state of the service, as far as it explains the states of these jobs."""
    settings = load_settings()
    waits = any(job.state is JobState.SCHEDULED for job in jobs)
    delivers = any(job.state is JobState.DRAFTED for job in jobs)
    names = [each.name for each in settings.destinations]
    return SystemStatus(
        now=store.now(),
        broker_fault=check_broker(settings).sentence if waits else "",
        processes=store.processes(),
        roles=reading_queues(settings),
        ahead=store.ahead() if waits else {},
        backlogs=waited_for(store, names) if delivers else {},
    )


@jobs.command()
@click.argument("job_id")
@_as_json
def show(job_id: str, *, as_json: bool) -> None:
    """Show one job: state, draft, objects, deliveries, events. JOB_ID may be its first letters."""
    with open_store() as store:
        job = store.job(job_id)
        detail = job_in_full(store, job, _situation(store, [job]))
        made = zip(detail["objects"], store.objects(job.id), strict=True)
        detail["objects"] = [{**each, "path": str(item.path)} for each, item in made]
    if as_json:
        click.echo(json.dumps(detail, indent=1))
        return
    Console(markup=False).print(_page(detail))


@jobs.command()
@click.argument("job_ids", nargs=-1, required=True)
def retry(job_ids: tuple[str, ...]) -> None:
    """Retry jobs: read the study again, or send an undelivered draft again."""
    with open_store() as store:

        def one(job_id: str) -> str:
            known, audit = store.job(job_id).id, event(AuditAction.RETRIED)
            retried = store.retry(known, actor=actor(), audit=audit)
            return state_word(retried.state)

        _for_each(job_ids, one)


@jobs.command()
@click.argument("job_ids", nargs=-1, required=True)
@click.option("--reason", default="", help="Recorded in the job's history.")
def cancel(job_ids: tuple[str, ...], reason: str) -> None:
    """Cancel jobs that are not finished; delivered results stay at their destinations."""
    with open_store() as store:

        def one(job_id: str) -> str:
            known, audit = store.job(job_id).id, event(AuditAction.CANCELED)
            canceled = store.cancel(known, actor=actor(), reason=reason, audit=audit)
            return state_word(canceled.state)

        _for_each(job_ids, one)


@jobs.command()
@click.argument("job_ids", nargs=-1, required=True)
def urgent(job_ids: tuple[str, ...]) -> None:
    """Read waiting jobs before the routine ones."""
    with open_store() as store:

        def one(job_id: str) -> str:
            audit = event(AuditAction.MADE_URGENT)
            store.make_urgent(store.job(job_id).id, actor=actor(), audit=audit)
            return "urgent"

        _for_each(job_ids, one)


@jobs.command()
@click.argument("job_ids", nargs=-1, required=True)
def release(job_ids: tuple[str, ...]) -> None:
    """Show and send drafts that are withheld for the measurement of agreement."""
    with open_store() as store:

        def one(job_id: str) -> str:
            audit = event(AuditAction.SENT_AGAIN, "a withheld draft")
            store.release_draft(store.job(job_id).id, actor(), audit)
            return "released"

        _for_each(job_ids, one)


def _for_each(job_ids: Sequence[str], do: Callable[[str], str]) -> None:
    """Call `do` for each job and print the result; exit with status 1 if one was refused.

    Raises:
        StoreUnavailable, SchemaMismatch: The database cannot be used, so the loop ends.
    """
    refused = False
    for job_id in job_ids:
        try:
            click.echo(f"{job_id[:8]} {do(job_id)}")
        except (NotFound, IllegalTransition) as error:
            refused = True
            click.echo(f"{job_id[:8]} refused: {error}", err=True)
    if refused:
        click.get_current_context().exit(1)


def _state(job: Job) -> str:
    marks = (" urgent" if job.urgent else "") + (" (superseded)" if job.superseded_by else "")
    return state_word(job.shown_state) + marks


def _page(detail: dict[str, Any]) -> Table:
    table = Table(Column(no_wrap=True), Column(overflow="fold"), show_header=False)
    warning = detail.pop("alarm")
    if warning is not None:
        by = f" (by {warning['by']}, {warning['at']})" if warning["at"] else ""
        table.add_row("alarm", f"{warning['sentence']}{by}", style="bold red")
    for key, value in detail.items():
        if key == "draft" and value and detail["draft_status"] == DraftStatus.WITHDRAWN:
            warning = "WITHDRAWN - DO NOT USE; its text is in the output of --json"
            table.add_row("draft", warning, style="bold red")
        elif key == "draft" and value:
            table.add_row("draft", "UNVERIFIED AI DRAFT, not a diagnosis")
            table.add_row("", "\n".join(value["findings_text"] + value["impression_text"]))
        elif isinstance(value, list):
            table.add_row(key, "\n".join(map(_line, value)))
        elif value not in (None, ""):
            table.add_row(key, _shown(key, value))
    return table


def _line(item: dict[str, Any]) -> str:
    """Return a delivery, an object or an event as one line."""
    shown = (_shown(key, value) for key, value in item.items() if key not in _ONLY_JSON)
    return "  ".join(filter(None, shown))


def _shown(key: str, value: object) -> str:
    if key in _STATE_KEYS:
        return state_word(str(value)) if value else ""
    if isinstance(value, dict):
        return " ".join(map(str, value.values()))
    if value is None:
        return ""
    if key in _TIME_KEYS:
        return f"{datetime.fromisoformat(str(value)).astimezone():%Y-%m-%d %H:%M:%S}"
    if key != "read_back":
        return str(value)
    return "read back" if value else "acknowledged, not read back"


def _age(since: datetime) -> str:
    seconds = int((datetime.now(UTC) - since).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(0, seconds)} s"
