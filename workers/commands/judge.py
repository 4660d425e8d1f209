"""`wetread judge`: CheXprompt, where a language model counts the errors of drafts."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from service.evaluation.chexprompt.summary import Judged, summary
from service.settings.config import load_settings
from service.settings.keys.judge import Judge as JudgeSettings
from workers.judge.pairs import Pair, Pairs, export_pairs, read_pairs
from workers.judge.raters_file import read_ratings
from workers.judge.results import (
    agreement_lines,
    summary_lines,
    write_agreement,
    write_summary,
)
from workers.judge.session import Session, cost_of, judge_of
from workers.judge.validation import agreement, rated_pairs
from workers.model.servers.retrying import RetryPolicy

_INTERRUPTED: Final = 130
_NO_FIGURE: Final = 1
_PATH: Final = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("source", type=_PATH, required=False)
@click.option("--validate", "raters", type=_PATH, help="CSV file with the counts of human raters.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the results; by default beside the CSV file.",
)
@click.option(
    "--export-pairs",
    "export",
    type=click.Path(file_okay=False, path_type=Path),
    help="Only write the pairs to this folder, for metrics that are computed elsewhere.",
)
@click.option("--probe", is_flag=True, help="Only test the judge on two pairs with known errors.")
@click.option("--dry-run", is_flag=True, help="Only show what would be sent; send nothing.")
@click.option(
    "--allow-untested-judge",
    is_flag=True,
    help="Use a judge that fails the probe; the results state this.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
def judge(
    source: Path | None,
    raters: Path | None,
    out: Path | None,
    export: Path | None,
    *,
    probe: bool,
    dry_run: bool,
    allow_untested_judge: bool,
    seed: int,
) -> None:
    """Count the errors of drafts against reference texts with a language model (CheXprompt).

    SOURCE is the folder of `wetread evaluate` with its pairs, or a CSV file with the columns id,
    reference, candidate and optionally patient. The model is that of the table [judge]. Replies are
    recorded in judge.jsonl: the same command continues an interrupted run. Exit status 1 if there
    is no figure, or if the judge fails --probe.

    --validate compares the judge with human raters: a CSV file with reference, candidate, rater1,
    rater2 … or ReXVal's file of counts, whose texts are those of SOURCE.
    """
    if probe:
        _probe(_session(Path(), allow_untested=True))
        return
    pairs = read_pairs(source) if source else None
    base = source or raters
    if base is None:
        raise click.UsageError("name SOURCE, or a file with --validate, or --probe")
    if export is not None:
        _export(pairs, export)
        return
    folder = out or (base if base.is_dir() else base.with_name(f"{base.stem}-judge"))
    session = _session(folder, allow_untested=allow_untested_judge)
    try:
        if dry_run:
            _show_cost(session.settings, pairs, raters)
        elif raters is not None:
            _validate(session, raters, pairs)
        else:
            _judge(session, pairs or Pairs(()), seed=seed)
    except KeyboardInterrupt:
        click.echo("stopped; recorded replies are kept: the same command continues", err=True)
        sys.exit(_INTERRUPTED)


def _session(folder: Path, *, allow_untested: bool) -> Session:
    return Session(
        settings=load_settings().judge,
        folder=folder,
        allow_untested=allow_untested,
        say=lambda line: click.echo(line, err=True),
        retry=RetryPolicy(),
    )


def _probe(session: Session) -> None:
    """Say whether the judge passes the probe; exit with 1 if it does not."""
    found = session.probed()
    _echo_all(found.faults or ("the judge passed the probe",))
    if not found.passed:
        sys.exit(_NO_FIGURE)


def _export(pairs: Pairs | None, folder: Path) -> None:
    if pairs is None:
        raise click.UsageError("--export-pairs needs SOURCE")
    export_pairs(pairs.pairs, folder)
    click.echo(f"{len(pairs.pairs)} pairs written to {folder}")


def _judge(session: Session, pairs: Pairs, *, seed: int) -> None:
    judged, source = session.judged(pairs.pairs)
    found = summary(judged, seed=seed)
    write_summary(
        session.folder / "judge.json", found, source, without_reference=pairs.without_reference
    )
    metric = source.judge.prompt.metric
    for line in summary_lines(found, metric=metric, without_reference=pairs.without_reference):
        click.echo(line)
    _echo_all(source.statements())
    if found.headline is None:
        sys.exit(_NO_FIGURE)


def _validate(session: Session, path: Path, others: Pairs | None) -> None:
    ratings = read_ratings(path)
    pairs = rated_pairs(ratings, others.pairs if others else None, path)
    judged: list[Judged] = []
    source = None
    if pairs and session.settings.url is not None:
        judged, source = session.judged(pairs)
    else:
        click.echo("the raters only: no judge is configured, or there are no texts", err=True)
    found = agreement(ratings, judged)
    session.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_agreement(session.folder / "judge_validation.json", found, source)
    _echo_all(agreement_lines(found))
    _echo_all(source.statements() if source else ())


def _show_cost(settings: JudgeSettings, pairs: Pairs | None, raters: Path | None) -> None:
    given: Sequence[Pair] = pairs.pairs if pairs else ()
    if raters is not None:
        given = rated_pairs(read_ratings(raters), given if pairs else None, raters)
    click.echo(cost_of(settings, judge_of(settings), [pair for pair in given if pair.candidate]))


def _echo_all(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
