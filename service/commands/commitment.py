"""`wetread commitment`: the storage commitment reports that are owed to peers."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction
from service.commands.audited import event
from service.commands.opened import open_store
from service.records import CommitmentReport


@click.group()
def commitment() -> None:
    """List storage commitment reports, and send again those that were given up."""


@commitment.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def list_reports(*, as_json: bool, limit: int) -> None:
    """List the reports, the latest requested first; ended ones are kept for 7 days."""
    with open_store() as store:
        reports = store.commitment_reports(limit=limit)
    if as_json:
        click.echo(json.dumps([_json(each) for each in reports], indent=2))
        return
    table = Table(
        Column("peer", no_wrap=True),
        Column("requested", no_wrap=True),
        Column("state", no_wrap=True),
        Column("instances", justify="right"),
        Column("failed", justify="right"),
        Column("attempts", justify="right"),
        "latest error",
        box=None,
    )
    for each in reports:
        failed = "" if each.failures is None else str(len(each.failures))
        table.add_row(
            f"{each.ae_title} at {each.host}:{each.port}",
            f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            each.state.value,
            str(len(each.request.references)),
            failed,
            str(each.attempts),
            each.last_error,
        )
    Console().print(table)


@commitment.command()
@click.argument("ae_title", default="")
def retry(ae_title: str) -> None:
    """Send the reports that were given up again: those to AE_TITLE, or all."""
    with open_store() as store:
        count = store.owe_reports_again(ae_title, event(AuditAction.SENT_AGAIN))
    click.echo(f"{count} due now")


def _json(report: CommitmentReport) -> dict[str, Any]:
    return {
        "ae_title": report.ae_title,
        "host": report.host,
        "port": report.port,
        "transaction_uid": report.request.transaction_uid,
        "instances": [each.sop_instance_uid for each in report.request.references],
        "failures": report.failures,
        "state": report.state.value,
        "attempts": report.attempts,
        "requested_at": report.created_at.isoformat(),
        "next_at": report.next_at.isoformat(),
        "last_error": report.last_error,
        "ended_at": report.ended_at.isoformat() if report.ended_at else None,
    }
