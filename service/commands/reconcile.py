"""`wetread reconcile`: lists the studies of an archive that were not received."""

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from dicom.errors import DestinationError
from service.errors import ConfigurationError
from service.log import configure_logging
from service.reconcile.comparison import Comparison
from service.reconcile.schedule import ReconcileContext, open_context, serve
from service.settings.config import Settings, load_settings
from service.settings.keys.reconcile import Reconcile

_SHOWN = 200


@click.command()
@click.argument("archives", nargs=-1)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Overrides `hours`.")
@click.option("--fetch", is_flag=True, help="Fetch missing studies, as `fetch = true` does.")
@click.option("--watch", is_flag=True, help="Compare on the configured schedule, until a signal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def reconcile(
    archives: tuple[str, ...], hours: float | None, *, fetch: bool, watch: bool, as_json: bool
) -> None:
    """Compare ARCHIVES, or all of `[[reconcile]]`, with what was received.

    Lists the CR and DX studies of the last hours that are missing or incomplete here, or have no job.
    The exit status is 1 if a study is missing or an archive did not answer, else 0.
    """
    settings = load_settings()
    configure_logging(settings.log, process="reconcile")
    if watch:
        serve(settings)
        return
    tables = _chosen(settings, archives, hours)
    with open_context(settings, fetches=fetch) as (_, context):
        results = {each.name: _compared(context, each, fetch=fetch) for each in tables}
    if as_json:
        found = {name: _to_json(each) for name, each in results.items()}
        click.echo(json.dumps(found, indent=1))
    else:
        _show(results)
    whole = all(isinstance(each, Comparison) and not each.lacking for each in results.values())
    sys.exit(0 if whole else 1)


def _chosen(settings: Settings, archives: tuple[str, ...], hours: float | None) -> list[Reconcile]:
    tables = {each.name: each for each in settings.reconcile}
    unknown = [name for name in archives if name not in tables]
    if unknown or not tables:
        known = ", ".join(tables) or "none"
        raise ConfigurationError(
            f"reconcile: no table [[reconcile]] names {unknown[0] if unknown else 'an archive'}; "
            f"configured are: {known}"
        )
    changed = {"hours": hours} if hours is not None else {}
    return [tables[name].model_copy(update=changed) for name in archives or tables]


def _compared(context: ReconcileContext, table: Reconcile, *, fetch: bool) -> Comparison | str:
    """Return the comparison, or the reason why the archive could not be compared."""
    try:
        return context.reconciler(table, fetches=fetch).compare(complete=True, at_once=True)
    except DestinationError as error:
        return str(error)


def _to_json(result: Comparison | str) -> dict[str, Any]:
    if isinstance(result, str):
        return {"fault": result}
    return {
        "fault": result.fault,
        "studies": result.studies,
        "missing": [each.to_json() for each in result.lacking],
        "fetched": list(result.fetched),
        "without_image": list(result.without_image),
        "other_classes": dict(result.other_classes),
    }


def _show(results: dict[str, Comparison | str]) -> None:
    table = Table(
        *(
            Column(each, overflow="fold")
            for each in ("archive", "study", "lacks", "absent", "reason")
        )
    )
    console = Console()
    for name, result in results.items():
        for each in result.lacking if isinstance(result, Comparison) else ():
            if table.row_count < _SHOWN:
                absent = f"{len(each.absent)} of {each.listed}"
                table.add_row(name, each.study_instance_uid, each.lack, absent, each.refused)
    if table.row_count:
        console.print(table)
    for name, result in results.items():
        console.print(f"{name}: {_sentence(result)}", soft_wrap=True, highlight=False)


def _sentence(result: Comparison | str) -> str:
    if isinstance(result, str):
        return f"not compared: {result}"
    parts = [f"{result.studies} studies compared, {len(result.lacking)} missing or incomplete here"]
    if result.fetched:
        parts.append(f"{len(result.fetched)} instances fetched")
    if result.without_image:
        parts.append(
            f"{len(result.without_image)} without a job, because they hold documents, captures or "
            "results only"
        )
    if result.other_classes:
        others = ", ".join(f"{uid} ({count})" for uid, count in result.other_classes.items())
        parts.append(f"of SOP Classes that are not accepted here: {others}")
    if result.fault:
        parts.append(f"not all could be fetched: {result.fault}")
    return "; ".join(parts)
