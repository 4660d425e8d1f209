"""`wetread experiment`: prompts, temperatures and repeats compared on the site's own studies."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from service.assessment.experiment import experiment as computed
from service.assessment.experiment_page import cells_csv, experiment_page
from service.assessment.file_names import CELLS, METRICS, REPORT
from service.assessment.flow import flow, flow_as_text
from service.assessment.study_rows import Outcome
from service.evaluation.metrics_json import metrics_json
from service.evaluation.report import render
from service.evaluation.resampling import DRAWS
from service.log import configure_logging
from service.settings.config import Settings, load_settings
from workers.evaluation.assembled import assembled
from workers.evaluation.cases import Received
from workers.evaluation.experiments.experiment import CellRows, Plan, cells_of, readings_of
from workers.evaluation.experiments.experiment_prompts import prompts_of
from workers.evaluation.outcome import exit_status, report_errors
from workers.evaluation.reading import Stop
from workers.evaluation.results import REASON_TEXTS, report_facts
from workers.evaluation.run import (
    Order,
    checked_truth,
    inputs_digest,
    manifest_facts,
    now_text,
    read_missing,
)
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.studies import studies_at
from workers.evaluation.truth import Matched
from workers.reading.reader import Reader

_MOST_REPEATS: Final = 50


@click.command()
@click.argument("studies", type=click.Path(path_type=Path))
@click.option("--truth", multiple=True, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--temperature", default="0", show_default=True, help="Separated by commas.")
@click.option("--top-p", help="Separated by commas; by default that of the settings.")
@click.option(
    "--prompt",
    default="",
    help="Separated by commas: specific, basic, confirm, child, child-heart, or those of --prompts.",
)
@click.option(
    "--prompts", type=click.Path(path_type=Path), help="TOML file with prompts of your own."
)
@click.option("--repeats", default=10, show_default=True, type=click.IntRange(1, _MOST_REPEATS))
@click.option("--model", help="Name of a model of [[models]]; by default that of [reading].")
@click.option("--blank", type=click.Choice(["unknown", "negative"]), default="unknown")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
def experiment(studies: Path, **options: Any) -> None:  # noqa: ANN401 - click's
    """Read each study with each prompt at each temperature, several times; compare F1 and flips.

    STUDIES and --truth are those of `wetread evaluate`. The folder --out gets report.html, cells.csv and
    metrics.json; to continue an interrupted run, give the same command again. Nothing is
    sent, and no draft is made.

    Exit status: as of `wetread evaluate`.
    """
    site = load_settings()
    settings = site.for_model(options["model"] or site.model_name)
    configure_logging(settings.log, process="experiment")
    order = Order(
        out=options["out"],
        truth=options["truth"],
        seed=options["seed"],
        blank_negative=options["blank"] == "negative",
    )
    with report_errors("experiment"):
        status = _done(studies, order, settings, options)
    sys.exit(status)


def _done(studies: Path, order: Order, settings: Settings, options: dict[str, Any]) -> int:
    faults: list[str] = []
    plan = _plan(settings, options, faults)
    received = studies_at(studies, faults)
    found, truths = checked_truth(order, received, faults)
    digest = inputs_digest(settings, received, cells=_digest_of(plan), repeats=plan.repeats)
    run, stop = RunDirectory.opened(order.out, digest), Stop()
    try:
        facts = manifest_facts(order, received, truths, settings)
        run.write_manifest({"started": now_text()} | run.manifest | facts)
        many = settings.reading.model_copy(update={"samples": plan.repeats - 1})
        with stop.on_signals():
            progress = read_missing(
                run,
                received,
                settings,
                stop,
                lambda: Reader.from_settings(
                    settings.model_copy(update={"reading": many}),
                    lambda line: click.echo(line, err=True),
                ),
                lambda reader: CellRows(reader, plan, stop),
            )
            run.write_manifest({"runs": [*run.manifest.get("runs", []), progress.facts]})
            _write(run, plan, received, found, order)
    finally:
        run.close()
    click.echo(f"unverified AI texts, none kept. {order.out / REPORT}")
    return exit_status(run, stop)


def _plan(settings: Settings, options: dict[str, Any], faults: list[str]) -> Plan:
    prompts = prompts_of(options["prompt"], options["prompts"], faults)
    temperatures = _numbers(options["temperature"], "temperature", 5.0, faults)
    top_p = options["top_p"] or f"{settings.reading.top_p:g}"
    top_ps = _numbers(top_p, "top-p", 1.0, faults)
    return Plan(
        prompts={prompt.name: prompt for prompt in prompts},
        cells=cells_of(prompts, temperatures, top_ps),
        repeats=options["repeats"],
    )


def _numbers(text: str, name: str, highest: float, faults: list[str]) -> tuple[float, ...]:
    found = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if 0 <= value <= highest:
            found.append(value)
        else:
            faults.append(f"--{name}: {part!r} is no number of 0 to {highest:g}")
    return tuple(dict.fromkeys(found))


def _digest_of(plan: Plan) -> list[str]:
    return [f"{cell.name}: {plan.prompts[cell.prompt]!r}" for cell in plan.cells]


def _write(run: RunDirectory, plan: Plan, received: Received, found: Matched, order: Order) -> None:
    rows = assembled(
        received,
        found.of,
        run.finished,
        blank_negative=order.blank_negative,
        keep_text=False,
    ).rows
    figures = computed(
        [row for row in rows if row.outcome is Outcome.SCORED],
        readings_of(plan, run.finished.values()),
        complete=all(row.outcome is not Outcome.NOT_READ for row in rows),
        draws=DRAWS,
        seed=order.seed,
    )
    run.write_text(METRICS, metrics_json({"experiment": figures, "flow": flow(rows)}))
    run.write_text(CELLS, cells_csv(figures))
    caveat = run.manifest.get("model", {}).get("caveat")
    report = experiment_page(
        figures,
        plan.cells,
        flow=flow_as_text(flow(rows), REASON_TEXTS),
        facts=(*report_facts(run.manifest), ("Repeats", str(plan.repeats))),
        warnings=(caveat,) if caveat else (),
    )
    run.write_text(REPORT, render(report))
