"""Charts of daily use: values over days, statistics over their limits, shares with intervals."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from service.evaluation.charts import (
    Bar,
    Chart,
    Dot,
    Line,
    Scale,
    Tick,
    checked_name,
    round_steps,
    scales,
)
from service.evaluation.values import Estimate, Interval, Undefined

WIDTH: Final = 460
HEIGHT: Final = 220
_MOST_DOTS: Final = 45
_DAY_TICKS: Final = 4
_LINES: Final = ("data", "data second", "data third")

Daily = tuple[str, int, float]


def daily_chart(
    name: str, title: str, days: Sequence[Daily], *, reference: float | None, y_title: str
) -> Chart:
    """Draw the value of each day, and that of the reference period as a dashed line.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        title: Of the chart.
        days: Day (YYYY-MM-DD), number of studies and value, at least one.
        reference: None where there is no reference period.
        y_title: What the value is.
    """
    highest = max([value for *_, value in days] + [reference or 0.0, 1e-9]) * 1.1
    lowest = min([value for *_, value in days] + [reference or 0.0, 0.0])
    x, y = scales(_span([day for day, *_ in days]), (lowest, highest), WIDTH, HEIGHT)
    lines = [Line("data", tuple((x(_number(day)), y(value)) for day, _, value in days))]
    compared = ""
    if reference is not None:
        (left, right), at = (x.start, x.end), y(reference)
        lines.append(Line("reference", ((left, at), (right, at))))
        compared = f" Dashed: {reference:.3g} in the reference period."
    dots = [
        Dot(x(_number(day)), y(value), f"{day}: {value:.3g}, n = {n}") for day, n, value in days
    ]
    return Chart(
        name=checked_name(name),
        title=title,
        description=f"{y_title} of each of {len(days)} days.{compared}",
        x_title="day",
        y_title=y_title,
        x_ticks=_day_ticks([day for day, *_ in days], x),
        y_ticks=tuple(
            Tick(y(value), f"{value:g}") for value in round_steps(highest) if value >= lowest
        ),
        lines=tuple(lines),
        # Many dots hide the line; the table has every value.
        dots=tuple(dots) if len(dots) <= _MOST_DOTS else (),
        width=WIDTH,
        height=HEIGHT,
    )


def statistic_chart(
    name: str, title: str, paths: Sequence[tuple[str, Sequence[tuple[str, float]]]]
) -> Chart:
    """Draw statistics over their limits, a line each; at 1 a chart alarms.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        title: Of the chart.
        paths: Name of a line, and day and value of its points; at least one has points.
    """
    drawn = [(label, points) for label, points in paths if points]
    highest = max([value for _, points in drawn for _, value in points] + [1.0]) * 1.1
    days = sorted({day for _, points in drawn for day, _ in points})
    x, y = scales(_span(days), (0.0, highest), WIDTH, HEIGHT)
    lines = [
        Line(
            _LINES[place % len(_LINES)], tuple((x(_number(day)), y(value)) for day, value in points)
        )
        for place, (_, points) in enumerate(drawn)
    ]
    ends = [
        Dot(x(_number(points[-1][0])), y(points[-1][1]), f"{label}: {points[-1][1]:.2f}", label)
        for label, points in drawn
    ]
    limit = Line("reference", ((x.start, y(1.0)), (x.end, y(1.0))))
    names = " and ".join(label for label, _ in drawn)
    return Chart(
        name=checked_name(name),
        title=title,
        description=f"Statistic of the charts for {names} over its limit. At the dashed line it alarms.",
        x_title="day",
        y_title="share of the limit",
        x_ticks=_day_ticks(days, x),
        y_ticks=tuple(Tick(y(value), f"{value:g}") for value in round_steps(highest)),
        lines=(*lines, limit),
        dots=tuple(ends),
        width=WIDTH,
        height=HEIGHT,
    )


def _number(day: str) -> float:
    return float(date.fromisoformat(day).toordinal())


def _span(days: Sequence[str]) -> tuple[float, float]:
    first, last = _number(min(days)), _number(max(days))
    return (first, last) if last > first else (first - 0.5, first + 0.5)


def _day_ticks(days: Sequence[str], x: Scale) -> tuple[Tick, ...]:
    first, last = (
        date.fromisoformat(min(days)).toordinal(),
        date.fromisoformat(max(days)).toordinal(),
    )
    step = max(1, -(-(last - first) // _DAY_TICKS))
    return tuple(
        Tick(x(float(number)), f"{date.fromordinal(number):%d %b}")
        for number in range(first, last + 1, step)
    )


def share_chart(
    name: str,
    title: str,
    shares: Sequence[tuple[str, Estimate]],
    *,
    published: tuple[str, float] | None = None,
) -> Chart:
    """Draw shares with their intervals, one beside the other.

    Args:
        name: Identifier in the page, letters, digits and hyphens.
        title: Of the chart.
        shares: Label and share of each, at least one; undefined ones have no dot.
        published: Words and value of a dashed line.
    """
    x, y = scales((-0.5, len(shares) - 0.5), (0.0, 1.0), WIDTH, HEIGHT)
    dots: list[Dot] = []
    bars: list[Bar] = []
    for place, (label, share) in enumerate(shares):
        if isinstance(share.value, Undefined):
            continue
        title_of_dot = f"{label}: {share.value:.1%}, n = {share.n}"
        dots.append(Dot(x(place), y(share.value), title_of_dot, f"n {share.n}"))
        if isinstance(share.interval, Interval):
            bars.append(Bar(x(place), y(share.interval.low), y(share.interval.high)))
    lines: tuple[Line, ...] = ()
    words = ""
    if published is not None:
        lines = (Line("reference", ((x.start, y(published[1])), (x.end, y(published[1])))),)
        words = f" Dashed: {published[0]}, {published[1]:.1%}."
    every = -(-len(shares) // _DAY_TICKS)
    return Chart(
        name=checked_name(name),
        title=title,
        description=f"Shares with 95 % intervals; numbers: cases.{words}",
        x_title="",
        y_title="share",
        x_ticks=tuple(
            Tick(x(place), label) for place, (label, _) in enumerate(shares) if place % every == 0
        ),
        y_ticks=tuple(Tick(y(value), f"{value:.0%}") for value in (0.0, 0.25, 0.5, 0.75, 1.0)),
        lines=lines,
        bars=tuple(bars),
        dots=tuple(dots),
        width=WIDTH,
        height=HEIGHT,
    )
