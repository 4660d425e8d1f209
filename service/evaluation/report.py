"""The report of an evaluation as one HTML file: no script, no other file, charts inline.

It opens with the flow from received to scored. What is undefined is written as such with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from service.evaluation.charts import Chart
from service.evaluation.resampling import Bootstrap
from service.evaluation.roc import Auroc
from service.evaluation.subgroups import TooFew
from service.evaluation.values import Estimate, EvaluationInputError, Interval, Undefined, Value

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_TEMPLATES: Final = Environment(
    loader=PackageLoader("service.evaluation", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first cell of a row names it, the others are right-aligned.

    Raises:
        EvaluationInputError: A row has another number of cells than the header.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise EvaluationInputError(
                f"a row of {self.caption!r} has not {len(self.header)} cells"
            )


@dataclass(frozen=True, slots=True)
class FlowStep:
    """A step from received to scored: studies that remain, and those that left, by reason."""

    name: str
    remaining: int
    left: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A closed polygon on a picture, in pixels of the original image; `kind` is its class."""

    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A study with its picture beside its results.

    Attributes:
        title: What is shown.
        picture: A `data:` URI, or "" for no picture.
        columns: Width of the original image, which the outlines refer to.
        rows: Its height.
        lines: Names and texts.
    """

    title: str
    picture: str
    columns: int
    rows: int
    outlines: tuple[Outline, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Gallery:
    """Cards under a heading of their own."""

    title: str
    note: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with tables, charts and cards under it."""

    title: str
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    text: str = ""
    galleries: tuple[Gallery, ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the page: its name, its value, and what it rests on."""

    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the page shows.

    Attributes:
        title: Its heading.
        facts: Names and values: model, versions, seed, dates.
        tiles: The figures at its top.
        warnings: Sentences above the figures: what limits them.
        flow: From received to scored; each step's studies and losses add up to the step before.
        sections: The figures.

    Raises:
        EvaluationInputError: The flow does not add up.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    flow: tuple[FlowStep, ...]
    sections: tuple[Section, ...]
    tiles: tuple[Tile, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for before, step in zip(self.flow, self.flow[1:], strict=False):
            lost = sum(count for _, count in step.left)
            if step.remaining + lost != before.remaining:
                raise EvaluationInputError(
                    f"the flow loses studies at {step.name!r}: {before.remaining} before, "
                    f"{step.remaining} after, {lost} with a reason"
                )


def render(report: Report) -> str:
    """Return the page as HTML."""
    return _TEMPLATES.get_template("report.html").render(report=report)


def render_chart(chart: Chart, *, alone: bool = True) -> str:
    """Return a chart as an SVG file; if not `alone`, as a part of a page that has its style sheet."""
    return _TEMPLATES.get_template("chart.svg").render(chart=chart, alone=alone)


def shown(value: Value | TooFew, *, digits: int = 3) -> str:
    """Return a figure with so many digits, or why there is none."""
    if isinstance(value, TooFew):
        return f"too few {value.of} (n = {value.n})"
    if isinstance(value, Undefined):
        return f"undefined: {value.reason}"
    return f"{value:.{digits}f}"


def shown_with_interval(figure: Estimate | Bootstrap | Auroc | TooFew, *, digits: int = 3) -> str:
    """Return a figure with its interval, or why there is none."""
    if isinstance(figure, TooFew) or isinstance(figure.value, Undefined):
        return shown(figure if isinstance(figure, TooFew) else figure.value)
    interval = figure.interval
    if not isinstance(interval, Interval):
        return f"{shown(figure.value, digits=digits)} (interval undefined: {interval.reason})"
    # No line break within the interval.
    bounds = f"({interval.low:.{digits}f} to {interval.high:.{digits}f})".replace(" ", NO_BREAK)
    return f"{figure.value:.{digits}f} {bounds}"


def estimate_row(name: str, figures: Sequence[Estimate]) -> tuple[str, ...]:
    """Return a row: the name, then each figure with its interval and n."""
    return (name, *(f"{shown_with_interval(figure)}, n = {figure.n}" for figure in figures))
