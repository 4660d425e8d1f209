"""Runs the charts over the rows after the reference period. Pure: the same rows give the same alarms."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np

from service.drift.designs import (
    WEEK_CASES,
    WEEKS,
    MeanPlan,
    NoChart,
    RatePlan,
    mean_plan,
    rate_plans,
)
from service.drift.kinds import ChartKind, chart_name
from service.drift.reference import FEWEST_ROWS, categories_of
from service.drift.rows import UNKNOWN, MonitorRow, RowKind
from service.drift.streams import STREAMS, Measure, Stream
from service.drift.summary import ReferenceSummary, StreamReference
from service.evaluation.control_charts import cusum, ewma
from service.evaluation.control_charts.ewma import DAY_CASES
from service.evaluation.shift import category_shift
from service.evaluation.stability import psi, psi_limit
from service.evaluation.values import Estimate, Interval, Undefined

# A new device or software with fewer studies may be a mistake of typing.
_FEWEST_NEW: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The first signal of a chart.

    Attributes:
        rows: The rows from the beginning of the change to the signal, of this stream.
        expected: Rate or mean in the reference period; None for weekly tests.
        observed: The same in `rows`, with its interval for a rate.
        words: What was found, a sentence without a patient attribute.
    """

    rows: tuple[MonitorRow, ...]
    expected: float | None
    observed: float | None
    interval: tuple[float, float] | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartResult:
    """A chart over the rows after the reference period.

    Attributes:
        path: Day and highest value of the statistic on it; the limit is 1.
        design: How often it alarms falsely, and how soon it finds what; a sentence.
        missing: Why there is no chart; "" if there is one.
        alarm: The first one since the chart began.
    """

    name: str
    stream: Stream
    kind: ChartKind
    path: tuple[tuple[str, float], ...] = ()
    design: str = ""
    missing: str = ""
    alarm: Alarm | None = None


@dataclass(frozen=True, kw_only=True)
class ChartInput:
    """What all charts are run over.

    Attributes:
        rows: Those after the reference period, in order.
        today: Weeks that end before it are complete.
        starts: By chart: only rows after this time count (an alert was acknowledged).
    """

    summary: ReferenceSummary
    rows: Sequence[MonitorRow]
    today: date
    starts: Mapping[str, datetime] = field(default_factory=dict)

    @cached_property
    def by_kind(self) -> Mapping[RowKind, list[MonitorRow]]:
        """The rows by their kind."""
        found: dict[RowKind, list[MonitorRow]] = defaultdict(list)
        for row in self.rows:
            found[row.kind].append(row)
        return found

    def of(self, stream: Stream, chart: str) -> list[MonitorRow]:
        """Return the rows of a stream that a chart counts."""
        start, rows = self.starts.get(chart), self.by_kind.get(stream.rows, [])
        return rows if start is None else [row for row in rows if row.at > start]


def run_charts(given: ChartInput) -> Iterator[ChartResult]:
    """Yield the result of each chart, in the order of the streams."""
    for stream in STREAMS:
        if stream.measure is Measure.RATE:
            for kind, plan in rate_plans(given.summary, stream).items():
                yield _rate(given, stream, kind, plan)
        elif stream.measure is Measure.NUMBER:
            yield _mean(given, stream)
            yield _weekly(given, stream, ChartKind.SHAPE)
        else:
            yield _weekly(given, stream, ChartKind.SHARES)
            yield _new(given, stream)


def _rate(
    given: ChartInput, stream: Stream, kind: ChartKind, plan: RatePlan | NoChart
) -> ChartResult:
    name = chart_name(stream.name, kind)
    if isinstance(plan, NoChart):
        return ChartResult(name=name, stream=stream, kind=kind, missing=plan.words)
    rows = [row for row in given.of(stream, name) if stream.name in row.events]
    path = cusum.run_chart(plan.design, [row.events[stream.name] for row in rows])
    reference = given.summary.streams[stream.name]
    p0 = reference.events / reference.n
    alarm = None
    if path.alarms:
        first = path.alarms[0]
        alarm = _rate_alarm(rows[first.start : first.index + 1], first.observed, p0)
    days: dict[str, float] = {}
    for row, value in zip(rows, path.values, strict=True):
        days[row.day] = max(days.get(row.day, 0.0), float(value) / plan.design.limit)
    design = (
        f"One false alarm in {plan.false_every:,.0f} rows. A change from {plan.design.p0:.1%} to "
        f"{plan.design.p1:.1%} is found after {plan.delay:,.0f} rows on average."
    )
    return ChartResult(
        name=name, stream=stream, kind=kind, path=tuple(days.items()), design=design, alarm=alarm
    )


def _rate_alarm(rows: Sequence[MonitorRow], observed: Estimate, p0: float) -> Alarm:
    share = 0.0 if isinstance(observed.value, Undefined) else observed.value
    interval = observed.interval
    bounds = (interval.low, interval.high) if isinstance(interval, Interval) else None
    between = f" ({bounds[0]:.1%} to {bounds[1]:.1%})" if bounds else ""
    words = f"{share:.1%}{between} of {len(rows)}, against {p0:.1%} in the reference period."
    return Alarm(rows=tuple(rows), expected=p0, observed=share, interval=bounds, words=words)


def _mean(given: ChartInput, stream: Stream) -> ChartResult:
    name = chart_name(stream.name, ChartKind.MEAN)
    plan = mean_plan(given.summary, stream)
    if isinstance(plan, NoChart):
        return ChartResult(name=name, stream=stream, kind=ChartKind.MEAN, missing=plan.words)
    rows = [row for row in given.of(stream, name) if stream.name in row.numbers]
    values = [row.numbers[stream.name] for row in rows]
    means = ewma.daily_means([row.day for row in rows], values)
    path = ewma.run_chart(plan.design, plan.reference, [mean for _, mean, _ in means])
    alarm = None
    if path.alarms:
        last = path.alarms[0]
        sign = np.sign(path.values[last])
        first = last
        while first > 0 and np.sign(path.values[first - 1]) == sign:
            first -= 1
        alarm = _mean_alarm(stream, plan, rows, {day for day, *_ in means[first : last + 1]})
    days = [day for day, *_ in means]
    limit = plan.design.limit
    return ChartResult(
        name=name,
        stream=stream,
        kind=ChartKind.MEAN,
        path=tuple((day, float(abs(z) / limit)) for day, z in zip(days, path.values, strict=True)),
        design=(
            f"One false alarm in {plan.false_every:,.0f} days. A shift by one standard deviation of "
            f"the daily means is found after {plan.delay:.0f} days on average; days with fewer than "
            f"{DAY_CASES} are left out."
        ),
        alarm=alarm,
    )


def _mean_alarm(
    stream: Stream, plan: MeanPlan, rows: Sequence[MonitorRow], days: set[str]
) -> Alarm:
    chosen = tuple(row for row in rows if row.day in days)
    observed = float(np.mean([row.numbers[stream.name] for row in chosen]))
    expected = plan.reference.mean
    words = (
        f"Mean {observed:.4g} of {len(chosen)} on {len(days)} days, against {expected:.4g} in the "
        "reference period."
    )
    return Alarm(rows=chosen, expected=expected, observed=observed, interval=None, words=words)


def _weekly(given: ChartInput, stream: Stream, kind: ChartKind) -> ChartResult:
    """Run the weekly test of the shape of a number (PSI) or of shares (chi-square)."""
    name = chart_name(stream.name, kind)
    reference = given.summary.streams[stream.name]
    if reference.n < FEWEST_ROWS or len(reference.bins or reference.counts) < 2:
        words = f"{reference.n} in the reference period; {FEWEST_ROWS} of several kinds are needed"
        return ChartResult(name=name, stream=stream, kind=kind, missing=words)
    path: list[tuple[str, float]] = []
    passed: list[list[MonitorRow]] = []
    alarm = None
    for monday, rows in _weeks(given, stream, name):
        ratio = (
            _psi(stream, reference, rows)
            if kind is ChartKind.SHAPE
            else _chi(stream, reference, rows)
        )
        path.append((monday.isoformat(), ratio))
        passed = [*passed, rows] if ratio > 1 else []
        if len(passed) == WEEKS and alarm is None:
            alarm = _week_alarm([row for week in passed for row in week])
    design = (
        f"Each full week with {WEEK_CASES} or more is tested at 1 %; {WEEKS} weeks in a row above the "
        f"limit alarm. The limit is {reference.dispersion:.1f} times that of independent studies, as "
        "days differed in the reference period."
    )
    return ChartResult(
        name=name, stream=stream, kind=kind, path=tuple(path), design=design, alarm=alarm
    )


def _weeks(
    given: ChartInput, stream: Stream, chart: str
) -> Iterator[tuple[date, list[MonitorRow]]]:
    """Yield the Monday and the rows of each complete week with enough of them."""
    weeks: dict[date, list[MonitorRow]] = defaultdict(list)
    for row in given.of(stream, chart):
        if stream.measure is Measure.SHARES or stream.name in row.numbers:
            day = date.fromisoformat(row.day)
            weeks[day - timedelta(days=day.weekday())].append(row)
    for monday, rows in sorted(weeks.items()):
        if monday + timedelta(days=7) <= given.today and len(rows) >= WEEK_CASES:
            yield monday, rows


def _psi(stream: Stream, reference: StreamReference, rows: Sequence[MonitorRow]) -> float:
    """Return PSI over its limit."""
    values = np.array([row.numbers[stream.name] for row in rows])
    places = np.searchsorted(np.array(reference.edges), values, side="right")
    found = np.bincount(places, minlength=len(reference.bins))
    limit = psi_limit(len(reference.bins), len(rows), reference.n) * reference.dispersion
    return psi(reference.bins, found) / limit


def _chi(stream: Stream, reference: StreamReference, rows: Sequence[MonitorRow]) -> float:
    """Return chi-square over its limit; 0 where it is undefined."""
    shift = category_shift(reference.counts, Counter(categories_of(stream, rows)))
    if isinstance(shift.statistic, Undefined) or isinstance(shift.limit, Undefined):
        return 0.0
    return shift.statistic / (shift.limit * reference.dispersion)


def _week_alarm(rows: Sequence[MonitorRow]) -> Alarm:
    words = (
        f"{len(rows)} studies of {WEEKS} weeks are distributed otherwise than the reference period."
    )
    return Alarm(rows=tuple(rows), expected=None, observed=None, interval=None, words=words)


def _new(given: ChartInput, stream: Stream) -> ChartResult:
    """Look for a category that the reference period lacks."""
    name = chart_name(stream.name, ChartKind.NEW)
    reference = given.summary.streams[stream.name]
    if not reference.counts:
        missing = "no study in the reference period"
        return ChartResult(name=name, stream=stream, kind=ChartKind.NEW, missing=missing)
    rows = given.of(stream, name)
    found: dict[str, list[MonitorRow]] = defaultdict(list)
    alarm = None
    for row, category in zip(rows, categories_of(stream, rows), strict=True):
        if category not in reference.counts and category != UNKNOWN:
            found[category].append(row)
            if alarm is None and len(found[category]) == _FEWEST_NEW:
                words = f"“{category}” was not in the reference period."
                alarm = Alarm(
                    rows=tuple(found[category]),
                    expected=None,
                    observed=None,
                    interval=None,
                    words=words,
                )
    design = f"Alarms at the {_FEWEST_NEW}rd study of a value that the reference period lacks."
    return ChartResult(name=name, stream=stream, kind=ChartKind.NEW, design=design, alarm=alarm)
