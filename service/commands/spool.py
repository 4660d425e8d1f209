"""`wetread spool`: compares spool and outbox with the database."""

import json
import sys
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Column, Table

from service.errors import ConfigurationError
from service.log import configure_logging
from service.maintenance.spool_check import Scope, SpoolCheck
from service.maintenance.spool_repair import Repairs
from service.receiver.intake import Intake
from service.records import Job
from service.settings.config import Settings, load_settings
from service.spool_findings import Kind, SpoolFinding, Tally
from service.store import Store

_SHOWN = 200


@click.group()
def spool() -> None:
    """Check the folder of the received images."""


@spool.command()
@click.option(
    "--repair", is_flag=True, help="Repair what can be repaired; only leftovers are deleted."
)
@click.option(
    "--hash", "hashes", is_flag=True, help="Read every byte: finds files that changed on the disk."
)
@click.option(
    "--young-minutes",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Skip files that arrived or were moved this recently: their rows may not be written yet.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON, for programs: one finding per line, then the totals.",
)
def verify(*, repair: bool, hashes: bool, young_minutes: float, as_json: bool) -> None:
    """Compare spool and outbox with the database, in both directions, while the service runs.

    The exit status is 0 if no fault is left, and 1 if one is left.
    """
    settings = load_settings()
    configure_logging(settings.log, process="spool")
    store = Store.open(settings)
    mend = Repairs(store, settings, Intake(store, settings, _publish_nothing)) if repair else None
    scope = Scope(hashes=hashes, young_seconds=young_minutes * 60)
    try:
        check = SpoolCheck(store, settings, scope, mend)
        show = _lines if as_json else _table
        show(_readable(check, settings), check.tally)
    finally:
        store.close()
    sys.exit(1 if check.tally.left else 0)


def _publish_nothing(*_: Job) -> None:
    """Publish nothing: the sweeper makes and publishes the job of an adopted Instance."""


def _readable(check: SpoolCheck, settings: Settings) -> Iterator[SpoolFinding]:
    try:
        yield from check.findings()
    except OSError as error:
        raise ConfigurationError(
            f"data_dir: {settings.data_dir} cannot be read: {error.strerror}"
        ) from None


def _lines(findings: Iterator[SpoolFinding], tally: Tally) -> None:
    for finding in findings:
        click.echo(json.dumps(finding.to_json()))
    counts = {
        "files": tally.files,
        "film_bytes": tally.image_bytes,
        "rows": tally.rows,
        "passed_over": tally.young,
        "found": {kind.value: count for kind, count in tally.found.items()},
        "repaired": tally.repaired,
        "left": tally.left,
    }
    click.echo(json.dumps(counts))


def _table(findings: Iterator[SpoolFinding], tally: Tally) -> None:
    table = Table("found", Column("file", overflow="fold"), Column("consequence", overflow="fold"))
    for finding in findings:
        if table.row_count < _SHOWN:
            text = f"{finding.detail} {finding.repaired}".strip()
            table.add_row(finding.kind.value, str(finding.path or ""), text)
    console = Console()
    if table.row_count:
        console.print(table)
    for kind in Kind:
        if count := tally.found.get(kind):
            console.print(f"{count} x {kind.value}: {kind.sentence}", soft_wrap=True)
    console.print(_sum(tally), soft_wrap=True)


def _sum(tally: Tally) -> str:
    looked = f"{tally.files} files and {tally.rows} rows checked"
    young = f", {tally.young} skipped as too recent" if tally.young else ""
    if not tally.found:
        return f"{looked}{young}: disk and database agree."
    shown = f" The table shows the first {_SHOWN}." if sum(tally.found.values()) > _SHOWN else ""
    return f"{looked}{young}: {tally.repaired} findings repaired, {tally.left} left.{shown}"
