"""A chart as data: bars, lines and marks in the units of an SVG picture."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 480
LEFT: Final = 62
RIGHT: Final = 10
TOP: Final = 22
PLOT_HEIGHT: Final = 150
BETWEEN: Final = 22
BOTTOM: Final = 26
_MOST_STEPS: Final = 4

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis: its place in the picture and its text."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar; `kind` is its class in the style sheet, `title` its value in words."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points of the picture; a single point is drawn as a dot."""

    kind: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One plotting area.

    Attributes:
        target: The place of the dashed line; None for none.
    """

    top: float
    bottom: float
    y_title: str
    y_ticks: Sequence[Tick]
    bars: Sequence[Bar] = ()
    lines: Sequence[Line] = ()
    target: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture with what it shows as a sentence and as a table.

    Attributes:
        marks: Places and numbers of changes of the service.
        legend: Class and word of each kind of bar and line.
        columns: Titles of the table; the first one is that of the rows.
    """

    key: str
    title: str
    sentence: str
    plots: Sequence[Plot]
    x_ticks: Sequence[Tick]
    marks: Sequence[Tick] = ()
    legend: Sequence[tuple[str, str]] = ()
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def size(self) -> tuple[int, float]:
        """Width and height of the picture."""
        return WIDTH, self.plots[-1].bottom + BOTTOM

    @property
    def edges(self) -> tuple[int, int]:
        """Left and right edge of the plotting areas."""
        return LEFT, WIDTH - RIGHT


def area(place: int, height: float = PLOT_HEIGHT) -> tuple[float, float]:
    """Return top and bottom of the plotting area with this number, of areas of equal height."""
    top = TOP + place * (height + BETWEEN)
    return top, top + height


def column_width(count: int) -> float:
    """Return the width of one of `count` points."""
    return (WIDTH - LEFT - RIGHT) / count


def center(index: int, count: int) -> float:
    """Return the middle of a point."""
    return round(LEFT + (index + 0.5) * column_width(count), 2)


def linear(highest: float, place: tuple[float, float]) -> Scale:
    """Return the scale from 0 to `highest` in a plotting area."""
    top, bottom = place
    return lambda value: round(bottom - (bottom - top) * value / highest, 2)


def logarithmic(low: float, high: float, place: tuple[float, float]) -> Scale:
    """Return the logarithmic scale from `low` to `high`; lower values are drawn at `low`."""
    top, bottom = place
    span = math.log(high / low)
    return lambda value: round(bottom - (bottom - top) * math.log(max(value, low) / low) / span, 2)


def round_steps(highest: float) -> list[int]:
    """Return 0 and at most four multiples of 1, 2 or 5 times a power of ten, the last >= `highest`."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            step = factor * power
            if step * _MOST_STEPS >= highest:
                return [step * number for number in range(max(1, math.ceil(highest / step)) + 1)]
        power *= 10


def bars(
    values: Sequence[float],
    scale: Scale,
    *,
    kind: str,
    titles: Sequence[str],
    floor: Sequence[float],
) -> list[Bar]:
    """Return a bar for each value above 0, on top of `floor`, which holds values as well."""
    width = column_width(len(values))
    found = []
    for index, (value, base) in enumerate(zip(values, floor, strict=True)):
        if value <= 0:
            continue
        top, bottom = scale(base + value), scale(base)
        x = round(LEFT + index * width + width * 0.12, 2)
        height = round(bottom - top, 2)
        found.append(Bar(x, top, round(width * 0.76, 2), height, kind, titles[index]))
    return found


def lines(values: Sequence[float | None], scale: Scale, kind: str) -> list[Line]:
    """Return lines through the known values; a gap ends a line."""
    found: list[Line] = []
    points: list[tuple[float, float]] = []
    for index, value in enumerate([*values, None]):
        if value is not None:
            points.append((center(index, len(values)), scale(value)))
        elif points:
            found.append(Line(kind, tuple(points)))
            points = []
    return found
