"""Charts as data: axes, lines, bars and dots in the units of an SVG picture.

The templates only write these numbers down. No script, no library of plots; each chart has a title and
a description in words, and its lines differ in dashes as well as in color.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.evaluation.calibration import ReliabilityBin
from service.evaluation.control_charts.cusum import CusumDesign, CusumPath
from service.evaluation.roc import Auroc, RocCurve
from service.evaluation.values import EvaluationInputError, Floats, Interval, Undefined

WIDTH: Final = 460
HEIGHT: Final = 400
LEFT: Final = 62
RIGHT: Final = 18
TOP: Final = 16
BOTTOM: Final = 58
# Of a long CUSUM path the lowest and the highest value of each of so many stretches are drawn.
_STRETCHES: Final = 400

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: its place in the picture and its text."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points of the picture; `kind` is its class in the style sheet."""

    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A vertical interval with its end marks, in the picture."""

    x: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with a text that names it; `label` is written beside it."""

    x: float
    y: float
    title: str
    label: str = ""
    kind: str = "dot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture of `width` x `height` units, the origin at its top left corner."""

    name: str
    title: str
    description: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    dots: tuple[Dot, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge of the plotting area."""
        return LEFT, TOP, self.width - RIGHT, self.height - BOTTOM


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values of [low, high] to [start, end] of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value in the picture."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def scales(
    x: tuple[float, float], y: tuple[float, float], width: int = WIDTH, height: int = HEIGHT
) -> tuple[Scale, Scale]:
    """Return the scales of the ranges of x and y in a picture of this size."""
    return Scale(*x, LEFT, width - RIGHT), Scale(*y, height - BOTTOM, TOP)


_UNIT: Final = (0.0, 1.0)
# Classes of the style sheet: lines of a chart differ in dashes.
_LINES: Final = ("data", "data second", "data third")
_FIFTHS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_chart(name: str, bins: Sequence[ReliabilityBin]) -> Chart:
    """Draw the share of positives of each bin over its mean score, with Wilson's interval and n.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        bins: Of `reliability_bins`; empty ones are not drawn.
    """
    x, y = scales(_UNIT, _UNIT)
    bars: list[Bar] = []
    dots: list[Dot] = []
    for each in bins:
        mean, share, interval = each.mean_score, each.observed.value, each.observed.interval
        if isinstance(mean, Undefined) or isinstance(share, Undefined):
            continue
        title = (
            f"scores {each.low:.1f} to {each.high:.1f}: {share:.3f} positive, n = {each.observed.n}"
        )
        dots.append(Dot(x(mean), y(share), title, f"{each.observed.n}"))
        if isinstance(interval, Interval):
            bars.append(Bar(x(mean), y(interval.low), y(interval.high)))
    return Chart(
        name=checked_name(name),
        title="Reliability diagram",
        description=(
            "Share of positive cases over the mean score, by bins of the score. Bars: 95 % intervals; "
            "numbers: cases. On the dashed line scores are calibrated."
        ),
        x_title="mean score",
        y_title="share of positive cases",
        x_ticks=_ticks(_FIFTHS, x),
        y_ticks=_ticks(_FIFTHS, y),
        lines=(Line("reference", ((x(0), y(0)), (x(1), y(1)))),),
        bars=tuple(bars),
        dots=tuple(dots),
    )


def roc_chart(name: str, curve: RocCurve, area: Auroc, *, threshold: float | None = 0.5) -> Chart:
    """Draw a ROC curve with the point of the threshold in use.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        curve: Of `roc_curve`.
        area: Of `auroc`, for the description.
        threshold: The operating point; None for no point.
    """
    x, y = scales(_UNIT, _UNIT)
    rates = list(
        zip(curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist(), strict=True)
    )
    dots: tuple[Dot, ...] = ()
    if threshold is not None:
        # The last point whose threshold is not below: all cases from it on are called.
        index = int(np.flatnonzero(curve.thresholds >= threshold)[-1])
        fpr, tpr = rates[index]
        title = f"threshold {threshold:g}: sensitivity {tpr:.3f}, specificity {1 - fpr:.3f}"
        dots = (Dot(x(fpr), y(tpr), title, f"threshold {threshold:g}"),)
    value = "undefined" if isinstance(area.value, Undefined) else f"{area.value:.3f}"
    return Chart(
        name=checked_name(name),
        title="ROC curve",
        description=(
            f"Sensitivity over 1 - specificity for all thresholds; AUROC {value}, "
            f"{area.positives} positive and {area.negatives} negative cases. The dashed line is chance."
        ),
        x_title="1 - specificity",
        y_title="sensitivity",
        x_ticks=_ticks(_FIFTHS, x),
        y_ticks=_ticks(_FIFTHS, y),
        lines=(
            Line("reference", ((x(0), y(0)), (x(1), y(1)))),
            Line("data", tuple((x(fpr), y(tpr)) for fpr, tpr in rates)),
        ),
        dots=dots,
    )


def cusum_chart(name: str, design: CusumDesign, path: CusumPath) -> Chart:
    """Draw S after each study with the limit and the alarms.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        design: The chart's rates and limit.
        path: Of `run_chart`.
    """
    width = 2 * WIDTH
    n = max(path.values.size, 1)
    highest = max(design.limit, float(path.values.max(initial=0.0))) * 1.1
    x, y = scales((0.0, float(n)), (0.0, highest), width)
    values = path.values.tolist()
    return Chart(
        name=checked_name(name),
        title="CUSUM chart",
        description=(
            f"S after each of {path.values.size} studies, reference rate {design.p0:g}, rate to detect "
            f"{design.p1:g}. {len(path.alarms)} alarms, where S reaches the dashed limit "
            f"{design.limit:.2f}."
        ),
        x_title="study, in the order of reading",
        y_title="S",
        x_ticks=_ticks(round_steps(n), x, "{:.0f}"),
        y_ticks=_ticks(round_steps(highest), y, "{:g}"),
        lines=(
            Line("reference", ((x(0), y(design.limit)), (x(n), y(design.limit)))),
            Line("data", tuple((x(at + 1), y(value)) for at, value in _thinned(path.values))),
        ),
        dots=tuple(
            Dot(
                x(alarm.index + 1),
                y(values[alarm.index]),
                f"alarm at study {alarm.index + 1}, change since about study {alarm.start + 1}",
                kind="alarm",
            )
            for alarm in path.alarms
        ),
        width=width,
    )


def _thinned(values: Floats) -> list[Point]:
    """Return (index, value) of the extremes of each stretch, all of them where they are few."""
    if values.size <= 2 * _STRETCHES:
        return list(enumerate(values.tolist()))
    kept: list[Point] = []
    for stretch in np.array_split(np.arange(values.size), _STRETCHES):
        part = values[stretch]
        places = sorted({int(part.argmin()), int(part.argmax())})
        kept.extend((float(stretch[place]), float(part[place])) for place in places)
    return kept


def round_steps(highest: float) -> tuple[float, ...]:
    """Return 0 and up to six multiples of 1, 2 or 5 times a power of ten, at most `highest`."""
    power = 10.0 ** np.floor(np.log10(highest))
    for step in (power / 5, power / 2, power, power * 2):
        if highest / step <= 6:
            break
    return tuple(float(step * count) for count in range(int(highest / step) + 1))


def _ticks(
    values: Sequence[float], scale: Callable[[float], float], form: str = "{:.1f}"
) -> tuple[Tick, ...]:
    return tuple(Tick(scale(value), form.format(value)) for value in values)


def checked_name(name: str) -> str:
    """Return the name if it is fit for an identifier of the page."""
    if not name or not name.replace("-", "").isalnum() or not name.isascii():
        raise EvaluationInputError(f"a chart's name may hold letters, digits and hyphens: {name!r}")
    return name


@dataclass(frozen=True, slots=True)
class Series:
    """Points (x, y, low, high) of one line of a chart; a bar is drawn where low and high differ."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]


def range_chart(
    name: str, title: str, description: str, axes: tuple[str, str], series: Sequence[Series]
) -> Chart:
    """Draw shares of 0 to 1 over a number, a line a series with its name at its last point.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        title: Of the chart.
        description: In words, for readers who do not see it.
        axes: Names of the x and the y axis.
        series: Lines; empty ones are not drawn.
    """
    drawn = [each for each in series if each.points]
    highest = max((point[0] for each in drawn for point in each.points), default=1.0) or 1.0
    x, y = scales((0.0, highest), _UNIT)
    bars = [
        Bar(x(at), y(low), y(high))
        for each in drawn
        for at, _, low, high in each.points
        if low < high
    ]
    dots = [
        Dot(
            x(at),
            y(value),
            f"{each.name}: {value:.3f} at {at:g}",
            each.name if place == len(each.points) - 1 else "",
        )
        for each in drawn
        for place, (at, value, _, _) in enumerate(each.points)
    ]
    return Chart(
        name=checked_name(name),
        title=title,
        description=description,
        x_title=axes[0],
        y_title=axes[1],
        x_ticks=_ticks(round_steps(highest), x, "{:g}"),
        y_ticks=_ticks(_FIFTHS, y),
        lines=tuple(
            Line(
                _LINES[place % len(_LINES)],
                tuple((x(at), y(value)) for at, value, _, _ in each.points),
            )
            for place, each in enumerate(drawn)
        ),
        bars=tuple(bars),
        dots=tuple(dots),
    )
