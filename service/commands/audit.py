"""`wetread audit`: the audit trail, listed, verified and exported."""

import csv
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import CSV_COLUMNS, AuditAction, AuditRecord, csv_row, first_fault
from service.audit_message import dicom_xml
from service.commands.audited import note
from service.commands.opened import open_store
from service.errors import WetreadError
from service.settings.config import load_settings
from service.store import Store
from service.store.audit.trail import AuditFilter


class BrokenTrail(WetreadError):
    """The audit trail was changed; the message names the first record that does not fit."""


@click.group()
def audit() -> None:
    """List, verify and export the audit trail."""


@audit.command("list")
@click.option("--person", default="", help="Login name (or its beginning), or account id.")
@click.option("--patient", default="", help="Patient ID.")
@click.option("--study", default="", help="Study Instance UID.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
def list_records(person: str, patient: str, study: str, limit: int) -> None:
    """List records, the newest first."""
    criteria = AuditFilter(person=person, patient_id=patient, study_uid=study)
    with open_store() as store:
        records = store.audit_records(criteria, limit)
    Console(markup=False).print(_table(records) if records else "no records")


@audit.command()
def verify() -> None:
    """Check that no record was changed, removed or inserted; print the newest id and digest.

    Compare these with an earlier output, or with the syslog server: only that shows whether the newest
    records were removed.
    """
    last: AuditRecord | None = None

    def noted(store: Store) -> Iterator[AuditRecord]:
        nonlocal last
        for record in store.whole_audit():
            last = record
            yield record

    with open_store() as store:
        fault = first_fault(noted(store))
    if fault:
        raise BrokenTrail(f"the audit trail is broken: {fault}")
    click.echo(f"{last.id} records, digest {last.digest}" if last else "no records")


@audit.command()
@click.option(
    "--csv", "as_csv", is_flag=True, help="Write comma-separated values to standard output."
)
@click.option(
    "--dicom",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="DICOM Audit Trail messages (PS3.15 A.5), a file each, into this folder.",
)
def export(folder: Path | None, *, as_csv: bool) -> None:
    """Export all records, the oldest first."""
    if as_csv == (folder is not None):
        raise click.UsageError("give either --csv or --dicom FOLDER")
    with open_store() as store:
        note(store, AuditAction.EXPORTED, detail="audit trail")
        if folder is None:
            _write_csv(store)
        else:
            _write_messages(store, folder)


def _write_csv(store: Store) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for record in store.whole_audit():
        writer.writerow(csv_row(record))


def _write_messages(store: Store, folder: Path) -> None:
    source = load_settings().site_name or socket.gethostname()
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for record in store.whole_audit():
        draft = folder / f".{record.id}.{os.getpid()}"
        draft.write_bytes(dicom_xml(record, source))
        draft.replace(folder / f"{record.id:012d}.xml")
        count += 1
    click.echo(f"{count} messages in {folder}")


def _table(records: list[AuditRecord]) -> Table:
    names = ("at", "who", "did", "study", "patient", "detail", "from")
    table = Table(
        *(Column(name, overflow="fold") for name in names), box=None, padding=(0, 1, 0, 0)
    )
    for record in records:
        event = record.event
        refused = "" if event.outcome == "success" else f" ({event.outcome})"
        table.add_row(
            f"{record.at.astimezone():%Y-%m-%d %H:%M:%S}",
            event.actor,
            f"{event.action}{refused}",
            event.study_uid,
            event.patient_id,
            event.detail,
            event.address,
        )
    return table
