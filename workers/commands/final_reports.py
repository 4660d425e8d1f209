"""`wetread final-reports`: imports final reports, and lists what they were matched with."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction
from service.commands.audited import note
from service.commands.opened import open_store
from service.final_reports.report import FinalState, StoredFinalReport
from service.settings.config import Settings, load_settings
from service.store import Store
from workers.final_reports.message_file import SUFFIX, read_messages
from workers.final_reports.table_file import Line, LineFault, NoText, Preliminary, read_reports
from workers.final_reports.taking import FinalReportTaker

_SHOWN_FAULTS: Final = 20
_FAULTY: Final = 2


@click.group()
def final_reports() -> None:
    """Import final reports of radiologists, and list what they were matched with."""


@final_reports.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--skip-faulty", is_flag=True, help="Import the other lines; without it nothing is imported."
)
def import_files(files: Sequence[Path], *, skip_faulty: bool) -> None:
    """Import reports from CSV, JSON Lines or HL7 FILES (`.hl7`, ORU^R01 messages).

    A line is matched with a study by accession number, Study Instance UID, or patient ID and study
    date. Importing a file again changes nothing; a corrected report replaces the earlier one. The text
    is labeled and, unless `final_reports.keep_text` is set, not kept. The columns are in
    docs/evaluation.md.
    """
    settings = load_settings()
    faults = [line for line in _lines(settings, files) if isinstance(line, LineFault)]
    for fault in faults[:_SHOWN_FAULTS]:
        click.echo(str(fault), err=True)
    if len(faults) > _SHOWN_FAULTS:
        click.echo(f"and {len(faults) - _SHOWN_FAULTS} more faults", err=True)
    if faults and not skip_faulty:
        click.echo("Nothing was imported: repair these, or give --skip-faulty.", err=True)
        sys.exit(_FAULTY)
    with open_store() as store:
        # Before the first report, so that an import which is interrupted is recorded too.
        number = "1 file" if len(files) == 1 else f"{len(files)} files"
        note(store, AuditAction.IMPORTED, detail=f"final reports: begun with {number}")
        summary = _import(store, settings, files)
        note(store, AuditAction.IMPORTED, detail=f"final reports: {summary}"[:200])
    click.echo(summary)
    if faults:
        click.echo(f"{len(faults)} lines or messages with faults were left out.", err=True)
        sys.exit(_FAULTY)


def _lines(settings: Settings, files: Sequence[Path]) -> Iterator[Line]:
    for path in files:
        if path.suffix.lower() == SUFFIX:
            yield from read_messages(path, settings.hl7.accession_fields)
        else:
            yield from read_reports(path)


def _import(store: Store, settings: Settings, files: Sequence[Path]) -> str:
    """Import the files; return the counts in words."""
    taker = FinalReportTaker(store, settings)
    counts: Counter[str] = Counter()
    for line in _lines(settings, files):
        if isinstance(line, LineFault):
            continue
        if isinstance(line, Preliminary):
            counts["preliminary, not used"] += 1
        elif isinstance(line, NoText):
            counts["without readable text, not used"] += 1
        else:
            taken = taker.take(line)
            counts[taken.state.value if taken.is_new else "known already"] += 1
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no report"


@final_reports.command("list")
@click.option("--state", type=click.Choice([each.value for each in FinalState]))
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
def list_reports(state: str | None, limit: int) -> None:
    """List final reports, the latest first; without text and patient."""
    with open_store() as store:
        counts = store.final_report_counts()
        found = store.final_reports(state=FinalState(state) if state else None, limit=limit)
    summary = ", ".join(f"{count} {each.value}" for each, count in sorted(counts.items()))
    click.echo(summary or "no final report")
    if found:
        Console(markup=False).print(_table(found))


def _table(found: Sequence[StoredFinalReport]) -> Table:
    names = ("arrived", "by", "state", "matched by", "study", "findings")
    table = Table(
        *(Column(name, overflow="fold") for name in names), box=None, padding=(0, 1, 0, 0)
    )
    for each in found:
        labels = each.labels.presence if each.labels else {}
        table.add_row(
            f"{each.received_at.astimezone():%Y-%m-%d %H:%M}",
            each.source.value,
            each.state.value,
            each.matched_by.value,
            each.study_uid,
            ", ".join(name.value for name, word in labels.items() if word == "present"),
        )
    return table
