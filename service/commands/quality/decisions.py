"""`wetread decisions`: figures of radiologists' decisions, and their export."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction
from service.commands.audited import note
from service.commands.opened import open_store
from service.evaluation.values import Estimate, Interval
from service.reader_study.study import csv_safe
from service.review.decision import Decision, ReportOf
from service.review.figures import (
    PUBLISHED_WORDS,
    Figures,
    Grouping,
    figures_by,
    figures_json,
)
from service.store import Store

_WHEN: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_PAGE: Final = 200
_since = click.option("--since", type=_WHEN, help="Decisions made since then, local time.")
_until = click.option("--until", type=_WHEN, help="Decisions made before then.")


@click.group()
def decisions() -> None:
    """Figures and export of the decisions of radiologists on drafts."""


@decisions.command()
@click.option(
    "--by",
    default=Grouping.ALL.value,
    show_default=True,
    type=click.Choice([each.value for each in Grouping]),
)
@_since
@_until
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def figures(by: str, since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """Print acceptability, edits, agreement and rejections with 95 % intervals."""
    with open_store() as store:
        facts = store.decision_facts(since=_local(since), until=_local(until))
    groups = figures_by(facts, Grouping(by))
    if as_json:
        click.echo(json.dumps([figures_json(each) for each in groups], indent=1))
        return
    if not groups:
        click.echo("no decisions")
        return
    Console(markup=False).print(_table(groups))
    click.echo(PUBLISHED_WORDS)


@decisions.command()
@_since
@_until
@click.option(
    "--with-text", is_flag=True, help="Include both texts, which may contain names of patients."
)
def export(since: datetime | None, until: datetime | None, *, with_text: bool) -> None:
    """Write one line of CSV for each decision to standard output, undone and amended ones included."""
    writer = csv.writer(sys.stdout)
    with open_store() as store:
        note(store, AuditAction.EXPORTED, detail="decisions" + " with texts" * with_text)
        header = False
        for found, report in _pages(store, _local(since), _local(until)):
            line = _line(found, report, with_text=with_text)
            if not header:
                writer.writerow(line)
                header = True
            writer.writerow(csv_safe(value) for value in line.values())


def _pages(
    store: Store, since: datetime | None, until: datetime | None
) -> Iterator[tuple[Decision, ReportOf]]:
    before = None
    while page := store.decisions(since=since, until=until, before=before, limit=_PAGE):
        reports = store.reports_of(page)
        yield from ((each, reports[each.id]) for each in page)
        before = page[-1].id


def _line(found: Decision, report: ReportOf, *, with_text: bool) -> dict[str, Any]:
    request, edits = found.request, found.edits
    line: dict[str, Any] = {
        "id": found.id,
        "at": found.at.isoformat(timespec="seconds"),
        "study_instance_uid": found.study_instance_uid,
        "job_id": found.job_id,
        "reader": found.reviewer.display_name,
        "verdict": request.verdict.value,
        "rejection": request.rejection.value if request.rejection else "",
        "acceptability": request.acceptability.value if request.acceptability else "",
        "words_changed": edits.distance,
        "share_changed": "" if edits.share is None else f"{edits.share:.4f}",
        "sentences": edits.sentences,
        "sentences_kept": edits.kept,
        "seconds": f"{request.seconds.total:.1f}",
        "findings": json.dumps({name: each.value for name, each in found.verdicts.items()}),
        "amends": request.amends,
        "undone_at": found.undone_at.isoformat(timespec="seconds") if found.undone_at else "",
        "report": report.state.value,
        "report_uid": report.sop_instance_uid,
        "device": found.device,
        "model": f"{found.model_name} {found.model_version}",
    }
    if with_text:
        line["draft_text"] = "\n".join((*found.draft_findings, *found.draft_impression))
        line["report_text"] = request.content.text
        line["reason"] = request.reason
    return line


def _table(groups: Sequence[Figures]) -> Table:
    names = ("", "n", "acceptable", "unchanged", "agreement", "words changed", "kept", "seconds")
    table = Table(*(Column(name, overflow="fold") for name in names), box=None)
    for each in groups:
        table.add_row(
            each.name,
            str(each.n),
            _estimate(each.acceptable),
            _estimate(each.unchanged),
            _estimate(each.agreement),
            _number(each.median_distance),
            "-" if each.kept_sentences is None else f"{100 * each.kept_sentences:.0f} %",
            _number(each.median_seconds),
        )
    return table


def _estimate(estimate: Estimate) -> str:
    if not isinstance(estimate.value, float) or not isinstance(estimate.interval, Interval):
        return "-"
    low, high = estimate.interval.low, estimate.interval.high
    return f"{100 * estimate.value:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n={estimate.n})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _local(value: datetime | None) -> datetime | None:
    return value.astimezone() if value else None
