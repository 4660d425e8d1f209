"""`wetread evaluate`: measures the site's model on the site's own studies."""

import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from service.assessment.file_names import REPORT
from service.assessment.judged import JudgeFigures, NotJudged
from service.commands.opened import open_store
from service.log import configure_logging
from service.settings.config import Settings, load_settings
from workers.evaluation.assembled import Assembled, assembled
from workers.evaluation.cases import Received
from workers.evaluation.judging import STOPPED, check_judge, judged
from workers.evaluation.others import others_at
from workers.evaluation.outcome import exit_status, report_errors
from workers.evaluation.reading import Stop
from workers.evaluation.results import write_results
from workers.evaluation.run import (
    JudgeOrder,
    Order,
    begun_at,
    checked_truth,
    draft_rows,
    exclusions,
    inputs_digest,
    manifest_facts,
    now_text,
    prompts,
    read_missing,
)
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.service_studies import studies_of_service
from workers.evaluation.studies import studies_at
from workers.evaluation.study_vectors import study_vectors
from workers.evaluation.truth import Matched
from workers.reading.reader import Reader

_WHEN: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.argument("studies", required=False, type=click.Path(path_type=Path))
@click.option(
    "--truth",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="labels.csv, a folder of reports, CSV or JSONL with report texts; may be given twice.",
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--compare",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of another evaluation: another model or prompt, or another site.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option("--no-text", is_flag=True, help="Keep labels only, no text and no pictures.")
@click.option(
    "--blank",
    type=click.Choice(["unknown", "negative"]),
    default="unknown",
    show_default=True,
    help="Meaning of a blank cell of the truth.",
)
@click.option("--model", help="Name of a model of [[models]]; by default that of [reading].")
@click.option(
    "--from-service",
    is_flag=True,
    help="Instead of STUDIES: the studies that the service received.",
)
@click.option("--since", type=_WHEN, help="With --from-service: studies since then, local time.")
@click.option("--export-pairs", is_flag=True, help="Write reference and draft as text files.")
@click.option(
    "--judge",
    is_flag=False,
    flag_value="",
    metavar="[URL]",
    help="Have the errors of the drafts counted by the language model of [judge] (CheXprompt); with URL "
    "by the one on that server.",
)
@click.option("--judge-model", help="Its name on that server, instead of judge.model.")
@click.option(
    "--allow-untested-judge",
    is_flag=True,
    help="Use a judge that fails the probe; the results state this.",
)
def evaluate(
    studies: Path | None,
    since: datetime | None,
    *,
    from_service: bool,
    **options: Any,  # noqa: ANN401 - click's
) -> None:
    """Measure the model of the settings on your own studies.

    STUDIES is a folder of DICOM files or of PNG and JPEG pictures, or a CSV table with a column `file`.
    The folder DIR (--out) gets report.html, metrics.json and the drafts; to continue
    an interrupted run, give the same command again.

    Exit status: 0 if every study was read or refused for a stated reason, 1 if readings failed or the
    judge gave no figure, 2 if the input has faults (all are listed; nothing is read), 130 if
    interrupted. All drafts are unverified AI drafts.
    """
    if from_service == (studies is not None) or from_service != (since is not None):
        raise click.UsageError("give STUDIES, or --from-service with --since DATE")
    if options["judge"] is not None and options["no_text"]:
        raise click.UsageError("--judge compares texts: it cannot be given with --no-text")
    site = load_settings(judge=_judge_overrides(options))
    order = Order(
        out=options["out"],
        truth=options["truth"],
        seed=options["seed"],
        keep_text=not options["no_text"],
        blank_negative=options["blank"] == "negative",
        compare=options["compare"],
        export_pairs=options["export_pairs"],
        judge=None
        if options["judge"] is None
        else JudgeOrder(site.judge, options["allow_untested_judge"]),
    )
    settings = site.for_model(options["model"] or site.model_name)
    configure_logging(settings.log, process="evaluate")
    with report_errors("evaluate"):
        status = _evaluated(studies or since, order, settings)
    sys.exit(status)


def _judge_overrides(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of the judge that the command line gives."""
    given = {"url": options["judge"], "model": options["judge_model"]}
    return {key: value for key, value in given.items() if value}


def _evaluated(studies: Path | datetime | None, order: Order, settings: Settings) -> int:
    faults: list[str] = []
    received = _received(studies, order, faults)
    others = others_at(order.compare, order.out, faults)
    found, truths = checked_truth(order, received, faults)
    if order.judge is not None:
        check_judge(order.judge, found.of)
    digest = inputs_digest(settings, received, keep_text=order.keep_text)
    run, stop = RunDirectory.opened(order.out, digest), Stop()
    try:
        run.write_manifest(
            {"started": now_text()}
            | run.manifest
            | manifest_facts(order, received, truths, settings)
        )
        with stop.on_signals():
            rows = _read(run, received, found, order, settings, stop)
        counted = _judged(order, run, rows, stop)
        with stop.on_signals():
            metrics = write_results(
                run,
                rows,
                order,
                truth_without_study=found.without_study,
                others=others,
                vectors=study_vectors(rows, settings),
                judge=counted,
            )
    finally:
        run.close()
    figures = metrics.figures
    click.echo(f"{figures.studies} studies scored; unverified AI drafts. {order.out / REPORT}")
    return exit_status(run, stop, counted)


def _read(
    run: RunDirectory,
    received: Received,
    found: Matched,
    order: Order,
    settings: Settings,
    stop: Stop,
) -> Assembled:
    """Read the studies that have no draft yet; return the rows of all."""
    progress = read_missing(
        run,
        received,
        settings,
        stop,
        lambda: Reader.from_settings(settings, _say),
        draft_rows(run, settings, stop, keep_text=order.keep_text),
    )
    runs = [*run.manifest.get("runs", []), progress.facts]
    run.write_manifest({"exclusions": exclusions(run), "runs": runs, "prompt": prompts(run)})
    return assembled(
        received,
        found.of,
        run.finished,
        blank_negative=order.blank_negative,
        keep_text=order.keep_text,
    )


def _judged(
    order: Order, run: RunDirectory, rows: Assembled, stop: Stop
) -> JudgeFigures | NotJudged | None:
    """Return what the judge counts, if one was requested and no signal ended the run."""
    if order.judge is None:
        return None
    if stop.signal:
        return STOPPED
    try:
        return judged(order.judge, run.folder, rows.rows, rows.pairs, seed=order.seed, say=_say)
    except KeyboardInterrupt:
        stop.end(signal.SIGINT)
        return STOPPED


def _received(studies: Path | datetime | None, order: Order, faults: list[str]) -> Received:
    """Return the studies at a path, or those of the service since a time."""
    if isinstance(studies, Path):
        return studies_at(studies, faults)
    since = (studies or datetime.now(UTC)).astimezone()
    with open_store() as store:
        return studies_of_service(store, faults, since=since, until=begun_at(order.out))


def _say(line: str) -> None:
    click.echo(line, err=True)
