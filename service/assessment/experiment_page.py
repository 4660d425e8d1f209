"""An experiment on the page: a table of its cells, charts over the temperature, prompts compared."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from service.assessment.comparison_page import comparison_section
from service.assessment.experiment import Cell, CellFigures, Experiment, Spread
from service.evaluation.charts import Chart, Series, range_chart
from service.evaluation.report import NO_BREAK, FlowStep, Report, Section, Table, shown
from service.evaluation.values import Undefined

TITLE: Final = "Prompts and temperatures on this site's studies"
_NOTE: Final = (
    "F1: of the findings together, mean and standard deviation over the repeats, lowest and highest in "
    "brackets. Flip rate: share of (study, finding) whose repeats differ. AC1: "
    "agreement of the repeats. Empty, no language: texts, which count as silent. top_k "
    "and the greatest number of tokens are those of the settings."
)


def experiment_page(
    found: Experiment,
    cells: Sequence[Cell],
    *,
    flow: tuple[FlowStep, ...],
    facts: Sequence[tuple[str, str]],
    warnings: Sequence[str] = (),
) -> Report:
    """Return the report of an experiment."""
    incomplete = () if found.complete else ("Not every study was read in every setting yet.",)
    return Report(
        title=TITLE,
        facts=tuple(facts),
        flow=flow,
        warnings=(*warnings, *incomplete),
        sections=(
            Section("Settings", (_table(found), _flips(found)), tuple(_charts(found, cells))),
            *(_compared(name, found) for name in found.comparisons),
            Section("Findings, first repeat", (_rates(found),)),
        ),
    )


def _table(found: Experiment) -> Table:
    rows = [
        (
            name,
            str(each.studies),
            str(each.repeats),
            _spread(each.mean_f1),
            _spread(each.micro_f1),
            shown(each.flip_rate),
            shown(each.agreement),
            str(each.empty),
            str(each.not_language),
        )
        for name, each in found.cells.items()
    ]
    header = ("Setting", "Studies", "Repeats", "F1, mean of findings", "F1, micro", "Flip rate",
              "AC1", "Empty", "No language")  # fmt: skip
    return Table("All settings", header, tuple(rows), _NOTE)


def _spread(spread: Spread) -> str:
    if isinstance(spread.mean, Undefined):
        return shown(spread.mean)
    if isinstance(spread.deviation, Undefined):
        return f"{spread.mean:.3f}"
    middle = f"{spread.mean:.3f} ± {spread.deviation:.3f}".replace(" ", NO_BREAK)
    bounds = f"({shown(spread.lowest)} to {shown(spread.highest)})".replace(" ", NO_BREAK)
    return f"{middle} {bounds}"


def _flips(found: Experiment) -> Table:
    rows = [
        (
            name,
            *(shown(each.flips[finding]) if each.flips else "–" for finding in found.together_of),
        )
        for name, each in found.cells.items()
    ]
    return Table("Flip rate of each finding", ("Setting", *found.together_of), tuple(rows))


def _charts(found: Experiment, cells: Sequence[Cell]) -> Iterator[Chart]:
    if len({cell.temperature for cell in cells}) < 2:
        return
    by_line: dict[str, list[tuple[Cell, CellFigures]]] = {}
    several = len({cell.top_p for cell in cells}) > 1
    for cell in cells:
        name = f"{cell.prompt}, top_p {cell.top_p:g}" if several else cell.prompt
        by_line.setdefault(name, []).append((cell, found.cells[cell.name]))
    yield range_chart(
        "f1-over-temperature",
        "F1 over the temperature",
        "Mean F1 of the findings; bars: lowest and highest of the repeats.",
        ("temperature", "F1"),
        [Series(name, _f1_points(line)) for name, line in by_line.items()],
    )
    yield range_chart(
        "flips-over-temperature",
        "Flip rate over the temperature",
        "Share of (study, finding) whose repeats differ.",
        ("temperature", "flip rate"),
        [Series(name, _flip_points(line)) for name, line in by_line.items()],
    )


Line = Sequence[tuple[Cell, CellFigures]]


def _f1_points(line: Line) -> tuple[tuple[float, float, float, float], ...]:
    return tuple(
        (cell.temperature, f1.mean, f1.lowest, f1.highest)
        for cell, figures in line
        for f1 in [figures.mean_f1]
        if not isinstance(f1.mean, Undefined)
        and not isinstance(f1.lowest, Undefined)
        and not isinstance(f1.highest, Undefined)
    )


def _flip_points(line: Line) -> tuple[tuple[float, float, float, float], ...]:
    return tuple(
        (cell.temperature, figures.flip_rate, figures.flip_rate, figures.flip_rate)
        for cell, figures in line
        if not isinstance(figures.flip_rate, Undefined)
    )


def _compared(name: str, found: Experiment) -> Section:
    section = comparison_section(found.comparisons[name])
    text = (
        f"Here: the prompt {name}; there: the first prompt, at the same temperature, first repeat. "
        f"{section.text}"
    )
    return Section(f"Prompt {name}", section.tables, text=text)


def _rates(found: Experiment) -> Table:
    rows = [
        (f"{setting}: {name}", str(rate.sensitivity.n), shown(rate.sensitivity.value),
         shown(rate.specificity.value), shown(rate.ppv.value))
        for setting, each in found.cells.items()
        for name, rate in each.rates.items()
    ]  # fmt: skip
    return Table(
        "Sensitivity and specificity",
        ("Setting and finding", "Positive", "Sensitivity", "Specificity", "PPV"),
        tuple(rows),
    )


def cells_csv(found: Experiment) -> str:
    """Return the table of the settings as CSV text."""
    rows = _cells_rows(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cells_rows(found: Experiment) -> list[Mapping[str, str]]:
    return [
        {
            "setting": name,
            "studies": str(each.studies),
            "repeats": str(each.repeats),
            "mean_f1": shown(each.mean_f1.mean, digits=6),
            "sd_f1": shown(each.mean_f1.deviation, digits=6),
            "min_f1": shown(each.mean_f1.lowest, digits=6),
            "max_f1": shown(each.mean_f1.highest, digits=6),
            "flip_rate": shown(each.flip_rate, digits=6),
            "ac1": shown(each.agreement, digits=6),
            "empty": str(each.empty),
            "not_language": str(each.not_language),
        }
        for name, each in found.cells.items()
    ]
