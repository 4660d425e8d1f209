"""The four charts: studies, latency, waiting jobs, failures."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from service.monitoring.overview_figures import OverviewFigures, Span
from service.throughput.balance import StudyClass
from service.throughput.changes import ServiceChange
from service.throughput.hours import HourFigures
from service.web.overview.plot import (
    LEFT,
    PLOT_HEIGHT,
    RIGHT,
    WIDTH,
    Bar,
    Chart,
    Plot,
    Tick,
    area,
    bars,
    center,
    linear,
    lines,
    logarithmic,
    round_steps,
)
from service.web.overview.words import cause_words, counted, duration, point_words, studies

_X_TICKS: Final = 6
_MOST_MARKS: Final = 12
_NUMBER_WIDTH: Final = 24
_MOST_CAUSES: Final = 4
_OTHER: Final = "other causes"
# Ticks of the latency in seconds.
_LATENCIES: Final = (1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0)
_LATENCY_TICKS: Final = ("1 s", "10 s", "1 min", "10 min", "1 h", "10 h")


def charts(figures: OverviewFigures, target_seconds: float) -> tuple[Chart, ...]:
    """Return the charts of a span.

    Args:
        figures: The figures.
        target_seconds: The target of the latency.
    """
    return (
        _studies(figures),
        _latency(figures, target_seconds),
        _depth(figures),
        _failures(figures),
    )


def marked_changes(figures: OverviewFigures) -> list[tuple[int, ServiceChange]]:
    """Return the latest changes with the numbers that mark them in the charts."""
    return list(enumerate(figures.changes[-_MOST_MARKS:], 1))


def _x_ticks(figures: OverviewFigures) -> list[Tick]:
    count = len(figures.points)
    step = max(1, count // _X_TICKS)
    return [
        Tick(center(index, count), point_words(each.hour, figures.span))
        for index, each in enumerate(figures.points)
        if index % step == 0
    ]


def _marks(figures: OverviewFigures) -> list[Tick]:
    """Return the places of the changes; those too close for a number each share one: "2-4"."""
    begins = [each.hour for each in figures.points]
    length = (begins[1] - begins[0]) * len(begins)
    found: list[Tick] = []
    for number, change in marked_changes(figures):
        share = min(1.0, (change.at - begins[0]) / length)
        place = round(LEFT + (WIDTH - LEFT - RIGHT) * share, 2)
        if found and place - found[-1].place < _NUMBER_WIDTH:
            first = found[-1].text.partition("-")[0]
            found[-1] = Tick(found[-1].place, f"{first}-{number}")
        else:
            found.append(Tick(place, str(number)))
    return found


def _labels(figures: OverviewFigures) -> list[str]:
    return [point_words(each.hour, figures.span) for each in figures.points]


def _step(figures: OverviewFigures) -> str:
    return figures.span.step.capitalize()


def _studies(figures: OverviewFigures) -> Chart:
    drafted = [each.balance.studies.get(StudyClass.DRAFTED, 0) for each in figures.points]
    received = [each.balance.received for each in figures.points]
    labels, place = _labels(figures), area(0)
    steps = round_steps(max(received, default=0))
    scale = linear(steps[-1], place)
    titles = [
        f"{label}: {count} received, {made} drafted"
        for label, count, made in zip(labels, received, drafted, strict=True)
    ]
    others = [count - made for count, made in zip(received, drafted, strict=True)]
    zero = [0] * len(received)
    return Chart(
        key="studies",
        title=f"Studies per {figures.span.step}",
        sentence=_studies_sentence(figures, labels, received, sum(drafted)),
        plots=(
            Plot(
                top=place[0],
                bottom=place[1],
                y_title="studies",
                y_ticks=[Tick(scale(each), f"{each:,}") for each in steps],
                bars=(
                    *bars(drafted, scale, kind="drafted", titles=titles, floor=zero),
                    *bars(others, scale, kind="undrafted", titles=titles, floor=drafted),
                ),
            ),
        ),
        x_ticks=_x_ticks(figures),
        marks=_marks(figures),
        legend=(("drafted", "drafted"), ("undrafted", "waiting, failed, not analyzed or canceled")),
        columns=(_step(figures), "Received", "Drafted"),
        rows=[
            (label, f"{count:,}", f"{made:,}")
            for label, count, made in zip(labels, received, drafted, strict=True)
        ],
    )


def _studies_sentence(
    figures: OverviewFigures, labels: Sequence[str], received: Sequence[int], drafted: int
) -> str:
    total = sum(received)
    if not total:
        return f"No study was received in {figures.span.words}."
    most = max(received)
    peak = labels[received.index(most)]
    verb = "was" if total == 1 else "were"
    have = "has" if drafted == 1 else "have"
    return (
        f"In {figures.span.words} {studies(total)} {verb} received; {drafted:,} of them "
        f"{have} a draft and no failure. The most in one {figures.span.step}: {most:,} ({peak})."
    )


def _latency(figures: OverviewFigures, target: float) -> Chart:
    halves = [each.latency.percentile(0.5) for each in figures.points]
    nearly = [each.latency.percentile(0.95) for each in figures.points]
    labels, place = _labels(figures), area(0)
    known = [each for each in (*halves, *nearly, target) if each is not None]
    low, high = min(1.0, *known), max(10.0, 1.5 * max(known))
    scale = logarithmic(low, high, place)
    ticks = zip(_LATENCIES, _LATENCY_TICKS, strict=True)
    return Chart(
        key="latency",
        title="Latency: last image to delivered draft",
        sentence=_latency_sentence(figures, nearly, target),
        plots=(
            Plot(
                top=place[0],
                bottom=place[1],
                y_title="latency",
                y_ticks=[Tick(scale(each), text) for each, text in ticks if low <= each <= high],
                lines=(*lines(halves, scale, "p50"), *lines(nearly, scale, "p95")),
                target=scale(target),
            ),
        ),
        x_ticks=_x_ticks(figures),
        marks=_marks(figures),
        legend=(
            ("p50", "median (p50)"),
            ("p95", "95th percentile (p95)"),
            ("target", f"target {duration(target)}"),
        ),
        columns=(_step(figures), "Drafts", "p50", "p95"),
        rows=[
            (label, f"{each.latency.n:,}", duration(half), duration(most))
            for label, each, half, most in zip(labels, figures.points, halves, nearly, strict=True)
        ],
    )


def _latency_sentence(
    figures: OverviewFigures, nearly: Sequence[float | None], target: float
) -> str:
    half, most = figures.latency
    if half is None or most is None:
        return f"No draft of the studies of {figures.span.words} has been delivered."
    above = sum(each is not None and each > target for each in nearly)
    step = figures.span.step
    missed = f" It was above the target in {counted(above, step)}." if above else ""
    return (
        f"Of the drafts of {figures.span.words} half were delivered within {duration(half)} of the "
        f"last image, 95 % within {duration(most)}; the target is {duration(target)}.{missed}"
    )


def _depth(figures: OverviewFigures) -> Chart:
    labels = _labels(figures)
    height = (PLOT_HEIGHT - 22) / 2
    upper, lower = area(0, height), area(1, height)
    depths = [each.depth for each in figures.points]
    waiting = [float(each.waiting) if each else None for each in depths]
    ages = [each.oldest_seconds / 60 if each else None for each in depths]
    return Chart(
        key="depth",
        title="Waiting jobs and the age of the oldest",
        sentence=_depth_sentence(figures, labels),
        plots=(
            _line_plot(upper, "jobs", waiting, "waiting"),
            _line_plot(lower, "minutes", ages, "age"),
        ),
        x_ticks=_x_ticks(figures),
        marks=_marks(figures),
        legend=(
            ("waiting", "above: most jobs that waited at once"),
            ("age", "below: highest age of the oldest, in minutes"),
        ),
        columns=(_step(figures), "Most waiting", "Oldest"),
        rows=[
            (
                label,
                f"{each.waiting:,}" if each else "–",
                duration(each.oldest_seconds if each else None),
            )
            for label, each in zip(labels, depths, strict=True)
        ],
    )


def _line_plot(
    place: tuple[float, float], y_title: str, values: Sequence[float | None], kind: str
) -> Plot:
    steps = round_steps(max([each for each in values if each is not None], default=0.0))
    # Half of the height: few ticks have room.
    shown = steps[:: max(1, (len(steps) - 1) // 2)]
    scale = linear(steps[-1], place)
    return Plot(
        top=place[0],
        bottom=place[1],
        y_title=y_title,
        y_ticks=[Tick(scale(each), f"{each:,}") for each in shown],
        lines=lines(values, scale, kind),
    )


def _depth_sentence(figures: OverviewFigures, labels: Sequence[str]) -> str:
    now = figures.depth
    current = "No job waits now."
    if now.waiting:
        wait = counted(now.waiting, "job waits", "jobs wait")
        current = f"{wait} now, the oldest for {duration(now.oldest_seconds)}."
    known = [(label, each.depth) for label, each in zip(labels, figures.points, strict=True)]
    measured = [(label, depth) for label, depth in known if depth is not None]
    if not measured:
        return f"{current} Nothing was measured in {figures.span.words}: the sweeper measures it."
    label, most = max(measured, key=lambda each: each[1].waiting)
    if not most.waiting:
        return f"{current} In {figures.span.words} no job waited when the jobs were counted."
    oldest = max(depth.oldest_seconds for _, depth in measured)
    return (
        f"{current} In {figures.span.words} at most {counted(most.waiting, 'job')} waited at once "
        f"({label}), and the highest age was {duration(oldest)}."
    )


def _failures(figures: OverviewFigures) -> Chart:
    labels, place = _labels(figures), area(0)
    totals: Counter[str] = Counter()
    for each in figures.points:
        totals.update(each.failures)
    causes = [cause for cause, _ in totals.most_common(_MOST_CAUSES)]
    columns = [[each.failures.get(cause, 0) for each in figures.points] for cause in causes]
    names = [cause_words(cause) for cause in causes]
    if len(totals) > _MOST_CAUSES:
        names.append(_OTHER)
        columns.append([_others(each, causes) for each in figures.points])
    sums = [sum(each.failures.values()) for each in figures.points]
    steps = round_steps(max(sums, default=0))
    scale = linear(steps[-1], place)
    floor, drawn = [0] * len(sums), list[Bar]()
    for number, (name, values) in enumerate(zip(names, columns, strict=True), 1):
        titles = [f"{label}: {name}, {n}" for label, n in zip(labels, values, strict=True)]
        drawn += bars(values, scale, kind=f"cause{number}", titles=titles, floor=floor)
        floor = [base + n for base, n in zip(floor, values, strict=True)]
    return Chart(
        key="failures",
        title=f"Failures per {figures.span.step}, by cause",
        sentence=_failures_sentence(figures, totals),
        plots=(
            Plot(
                top=place[0],
                bottom=place[1],
                y_title="failures",
                y_ticks=[Tick(scale(each), f"{each:,}") for each in steps],
                bars=drawn,
            ),
        ),
        x_ticks=_x_ticks(figures),
        marks=_marks(figures),
        legend=[(f"cause{number}", name) for number, name in enumerate(names, 1)],
        columns=(_step(figures), *(names or ("Failures",))),
        rows=[
            (label, *(f"{values[index]:,}" for values in columns)) if columns else (label, "0")
            for index, label in enumerate(labels)
        ],
    )


def _others(figures: HourFigures, causes: Sequence[str]) -> int:
    return sum(n for cause, n in figures.failures.items() if cause not in causes)


def _failures_sentence(figures: OverviewFigures, totals: Counter[str]) -> str:
    if not totals:
        return f"No job failed in {figures.span.words}."
    listed = ", ".join(
        f"{count:,} {cause_words(cause).lower()}" for cause, count in totals.most_common(3)
    )
    more = " and others" if len(totals) > 3 else ""
    return f"In {figures.span.words} {counted(totals.total(), 'job')} failed: {listed}{more}."


def parse_span(word: str | None) -> Span:
    """Return the span that the URL names, a day without one; an unknown word is a day."""
    return Span.MONTH if word == Span.MONTH.value else Span.DAY
