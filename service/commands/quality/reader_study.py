"""`wetread reader-study`: a blinded comparison of drafts and reference reports by radiologists."""

import csv
import json
import secrets
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from service.audit import AuditAction
from service.commands.audited import event, note
from service.commands.opened import actor, open_store
from service.commands.quality.reader_study_cases import (
    cases_of_list,
    cases_of_service,
    cautions_of,
    readers_of,
)
from service.reader_study.case_list import MOST_CASES, read_case_list
from service.reader_study.errors import InvalidReaderStudy, ReaderStudyConflict
from service.reader_study.order import REPEAT_SHARE, WANTED_GAP
from service.reader_study.study import NewReaderStudy, ReaderStudy, csv_safe
from service.store import Store

_LONGEST_NAME = 100
_id = click.argument("study_id", metavar="ID")


@click.group("reader-study")
def reader_study() -> None:
    """Compare drafts and reference reports by radiologists who do not know which is which.

    ID is the id of a reader study or its beginning. Everything a reader records is kept; the arms are
    shown only after `close`.
    """


@reader_study.command()
@click.argument("name")
@click.option(
    "--cases",
    "case_list",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV or JSONL with id, study_instance_uid, arm (draft or reference) and text; a draft without "
    "a text is the service's own.",
)
@click.option(
    "--from-service",
    is_flag=True,
    help="Take drafts whose final reports came back and whose text is kept.",
)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Final reports since then.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MOST_CASES))
@click.option("--reader", "logins", multiple=True, required=True, help="Login name. Repeatable.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**53),
    help="Of the order; drawn at random when absent. Keep it from readers.",
)
@click.option(
    "--margin",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of non-inferiority; cannot be changed later.",
)
@click.option(
    "--repeats",
    default=REPEAT_SHARE,
    show_default=True,
    type=click.FloatRange(0, 0.5),
    help="Share of the texts that each reader gets twice.",
)
def create(  # noqa: PLR0913 - one parameter an option
    name: str,
    case_list: Path | None,
    since: datetime | None,
    limit: int,
    logins: tuple[str, ...],
    *,
    from_service: bool,
    seed: int | None,
    margin: float,
    repeats: float,
) -> None:
    """Make a study from cases; its readers find it under Monitor."""
    if (case_list is None) == (not from_service):
        raise InvalidReaderStudy("Give the cases: either --cases FILE or --from-service.")
    if not 0 < len(name.strip()) <= _LONGEST_NAME:
        raise InvalidReaderStudy(f"NAME: 1 to {_LONGEST_NAME} characters.")
    with open_store() as store:
        readers = readers_of(store, logins)
        if case_list is None:
            cases = cases_of_service(store, since.astimezone() if since else None, limit)
        else:
            cases = cases_of_list(store, read_case_list(case_list), case_list.name)
        new = NewReaderStudy(
            name=name.strip(),
            seed=secrets.randbits(48) if seed is None else seed,
            margin=margin,
            repeat_share=repeats,
            readers=readers,
            cases=cases,
        )
        made = store.create_reader_study(new, actor(), event(AuditAction.CREATED_READER_STUDY))
        study = store.reader_study(made)
    _print_created(study, new)


@reader_study.command()
@click.argument("study_id", metavar="[ID]", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(study_id: str | None, *, as_json: bool) -> None:
    """Show how far the readers are; of a closed study also the results."""
    with open_store() as store:
        studies = [_found(store, study_id)] if study_id else store.reader_studies()
        shown = [_status_json(store, each, with_results=study_id is not None) for each in studies]
    if as_json:
        click.echo(json.dumps(shown, indent=1))
        return
    for each, content in zip(studies, shown, strict=True):
        _print_status(each)
        if "results" in content:
            click.echo(json.dumps(content["results"], indent=1))
    if not studies:
        click.echo("no reader studies")


@reader_study.command()
@_id
@click.option(
    "--incomplete", is_flag=True, help="Also if items are left; they stay without a class."
)
def close(study_id: str, *, incomplete: bool) -> None:
    """Close a study for good and show the arms. Nothing can be recorded in it afterwards."""
    with open_store() as store:
        study = _found(store, study_id)
        if not study.is_complete and not incomplete:
            raise ReaderStudyConflict(
                "Not every item was rated (see `wetread reader-study status`): with --incomplete the "
                "study is closed all the same."
            )
        store.close_reader_study(study.id, actor(), event(AuditAction.CLOSED_READER_STUDY))
        content = _results(store, store.reader_study(study.id))
    click.echo(json.dumps(content, indent=1))


@reader_study.command()
@_id
@click.option("--with-text", is_flag=True, help="Include the texts, which may name patients.")
def export(study_id: str, *, with_text: bool) -> None:
    """Write one line of CSV for each item of a closed study to standard output."""
    from service.reader_study.results import csv_line, csv_texts  # noqa: PLC0415 - loads numpy

    with open_store() as store:
        study = _found(store, study_id)
        items = store.reader_study_results(study.id)
        what = f"reader study {study.id}" + " with texts" * with_text
        note(store, AuditAction.EXPORTED, detail=what)
    lines = [csv_line(each) | (csv_texts(each) if with_text else {}) for each in items]
    writer = csv.DictWriter(sys.stdout, list(lines[0]) if lines else [])
    writer.writeheader()
    writer.writerows({key: csv_safe(value) for key, value in line.items()} for line in lines)


def _found(store: Store, prefix: str) -> ReaderStudy:
    found = [each for each in store.reader_studies() if prefix and each.id.startswith(prefix)]
    if len(found) != 1:
        what = "several reader studies" if found else "no reader study"
        raise InvalidReaderStudy(f"There is {what} with an id that begins so: {prefix[:40]!r}.")
    return found[0]


def _status_json(store: Store, study: ReaderStudy, *, with_results: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": study.id,
        "name": study.name,
        "cases": study.cases,
        "margin": study.margin,
        "created_at": study.created_at.isoformat(),
        "created_by": study.created_by,
        "closed_at": study.closed_at.isoformat() if study.closed_at else None,
        "readers": [
            {"reader": each.login, "items": each.items, "done": each.done, "gap": each.gap}
            for each in study.readers
        ],
    }
    if with_results and study.closed_at is not None:
        content["results"] = _results(store, study)
    return content


def _results(store: Store, study: ReaderStudy) -> dict[str, Any]:
    from service.reader_study.analysis import analysis_of  # noqa: PLC0415 - loads numpy
    from service.reader_study.results import analysis_json  # noqa: PLC0415

    return analysis_json(analysis_of(store.reader_study_results(study.id), margin=study.margin))


def _print_created(study: ReaderStudy, new: NewReaderStudy) -> None:
    texts = sum(len(case.texts) for case in new.cases)
    _print_status(study)
    click.echo(f"{texts} texts, seed {new.seed}, non-inferiority margin {new.margin:g}")
    narrow = min(each.gap for each in study.readers)
    if narrow < WANTED_GAP:
        click.echo(
            f"caution: with so few items the texts of one case are only {narrow} places apart, not "
            f"{WANTED_GAP}."
        )
    for each in cautions_of(new.cases):
        click.echo(f"caution: {each}")


def _print_status(study: ReaderStudy) -> None:
    state = "open" if study.closed_at is None else f"closed by {study.closed_by}"
    click.echo(f"{study.id}  {study.name}: {study.cases} cases, {state}")
    for each in study.readers:
        click.echo(f"  {each.login}: {each.done} of {each.items} items")
