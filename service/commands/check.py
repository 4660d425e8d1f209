"""`wetread check`: is everything in place? A table, and exit status 1 with the fault's name."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import click
from rich.console import Console
from rich.table import Table

from dicom.errors import DicomError, OutOfResources
from dicom.letters import has_shaping
from dicom.pacs import Destination
from service import schema
from service.config import Settings, load_settings
from service.destinations import destinations
from service.disk import free_bytes
from service.errors import WetreadError
from service.queue import ping
from service.store import Store
from service.supervisor import wetread_command


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    good: bool
    detail: str


@click.command()
@click.option("--no-model", is_flag=True, help="Leave out loading the model (on a front machine).")
def check(*, no_model: bool) -> None:
    """Check configuration, database, broker, spool, model and destinations."""
    settings = load_settings()
    rows = [Row("configuration", good=True, detail="valid")]
    rows.append(_row("database", partial(_database, settings)))
    rows.append(_row("broker", partial(ping, settings)))
    rows.append(_row("spool", partial(_spool, settings)))
    rows.append(Row("pictures", good=True, detail=_scripts()))
    if not no_model:
        rows += [_model(name) for name in settings.readings()]
    for name, destination in destinations(settings).items():
        rows.append(_row(f"destination {name}", partial(_probe, destination)))
    if not settings.destinations:
        rows.append(
            Row("destinations", good=False, detail="none configured: drafts would stay here")
        )
    _show(rows)
    faults = [row.what for row in rows if not row.good]
    if faults:
        click.echo(f"wetread check: failed: {', '.join(faults)}", err=True)
        sys.exit(1)


def _row(what: str, probe: Callable[[], str]) -> Row:
    try:
        return Row(what, good=True, detail=probe())
    except (WetreadError, DicomError, OSError) as error:
        return Row(what, good=False, detail=str(error))


def _database(settings: Settings) -> str:
    store = Store.open(settings)  # raises when it is away or at another revision
    store.close()
    return f"at revision {schema.current(settings.database_url)}"


def _spool(settings: Settings) -> str:
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    probe = settings.spool_dir / ".check"
    probe.write_bytes(b"")
    probe.unlink()
    free, needed = free_bytes(settings.spool_dir), settings.receiver.min_free_bytes
    if free < needed:
        raise OutOfResources(
            f"{free // 2**20} MiB free on the disk of {settings.spool_dir}, needed are "
            f"{needed // 2**20} MiB (receiver.min_free_bytes): nothing would be accepted"
        )
    return f"{settings.spool_dir} is writable, {free // 2**30} GiB free"


def _scripts() -> str:
    if has_shaping():
        return "names in every script of the shipped fonts"
    return (
        "names in Arabic, Hebrew, Thai and Devanagari are not drawn but named: install FriBiDi "
        "(libfribidi0) for them"
    )


def _probe(destination: Destination) -> str:
    destination.probe()
    return "answers"


def _model(name: str) -> Row:
    """Load a model in a process of its own: this one must not need torch."""
    result = subprocess.run(  # noqa: S603 - our own command, no shell
        wetread_command("load-model", "--model", name), capture_output=True, text=True, check=False
    )
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    return Row(
        f"model {name}", good=result.returncode == 0, detail=lines[-1] if lines else "no answer"
    )


def _show(rows: list[Row]) -> None:
    table = Table("part", "", "detail")
    for row in rows:
        table.add_row(row.what, "ok" if row.good else "FAULT", row.detail)
    Console().print(table)
