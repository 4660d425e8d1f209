"""Designs of the charts: limits for at most one false alarm a quarter of all charts together. Pure.

Half of it is left to the CUSUM charts of rates, a quarter to the EWMA charts of daily means, and a
quarter to the weekly tests. What the reference period states is itself an estimate: each chart takes its
unfavorable bound, so that a reference that came out low by chance does not raise false alarms.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Final

from service.drift.kinds import ChartKind
from service.drift.reference import FEWEST_DAYS, FEWEST_ROWS
from service.drift.streams import STREAMS, Measure, Stream
from service.drift.summary import ReferenceSummary, StreamReference
from service.evaluation.control_charts import cusum, ewma
from service.evaluation.control_charts.cusum import CusumDesign, design_chart
from service.evaluation.control_charts.ewma import WIDTH, EwmaDesign, EwmaReference
from service.evaluation.distributions import chi_square_limit
from service.evaluation.proportions import wilson
from service.evaluation.values import Interval, Undefined

FALSE_ALARMS: Final = 1.0  # a quarter, all charts together
_RATE_SHARE: Final = 0.5
_MEAN_SHARE: Final = 0.25
_DAYS: Final = 91.3
# The odds of the rate that a chart is made for, over those of the reference.
ODDS_RATIO: Final = 2.0
# Two-sided level of the interval whose bound a chart takes for the reference rate.
_BOUND_LEVEL: Final = 0.8
# A fall shows only by events that do not occur: with fewer expected in a quarter none can show.
_FALL_EVENTS: Final = 10.0
_LONGEST_RUN: Final = 5e6
_SHORTEST_RUN: Final = 500.0
# Weekly tests: at 1 % each, and an alarm needs two weeks one after the other.
WEEK_CASES: Final = 100
WEEKS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlan:
    """A CUSUM chart of a rate.

    Attributes:
        false_every: Mean number of rows between false alarms.
        delay: Mean number of rows until a change to the design's p1 is found.
    """

    design: CusumDesign
    false_every: float
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanPlan:
    """An EWMA chart of daily means.

    Attributes:
        reference: The deviation is its upper bound.
        false_every: Mean number of days between false alarms.
        delay: Mean number of days until a shift by one deviation of the daily means is found.
    """

    design: EwmaDesign
    reference: EwmaReference
    false_every: float
    delay: float


@dataclass(frozen=True, slots=True)
class NoChart:
    """Why a stream has no chart."""

    words: str


def rate_plans(summary: ReferenceSummary, stream: Stream) -> dict[ChartKind, RatePlan | NoChart]:
    """Return the charts of a rate for a rise and a fall."""
    reference = summary.streams[stream.name]
    if reference.n < FEWEST_ROWS:
        words = f"{reference.n} in the reference period; {FEWEST_ROWS} are needed"
        return {ChartKind.RISE: NoChart(words), ChartKind.FALL: NoChart(words)}
    charts = 2 * sum(
        each.measure is Measure.RATE and summary.streams[each.name].n >= FEWEST_ROWS
        for each in STREAMS
    )
    wanted = summary.per_quarter(stream.name) * charts / (_RATE_SHARE * FALSE_ALARMS)
    run = float(f"{min(max(wanted, _SHORTEST_RUN), _LONGEST_RUN):.2g}")
    low, high = _bounds(reference)
    rise = _plan(high, _odds_times(high, ODDS_RATIO), run) if high < 1 else NoChart("is always so")
    fall = _fall_plan(low, run, quarter=summary.per_quarter(stream.name))
    return {ChartKind.RISE: rise, ChartKind.FALL: fall}


def _fall_plan(low: float, run: float, *, quarter: float) -> RatePlan | NoChart:
    """Return the chart of a fall from the rate `low`, if it detects the fall within a quarter's rows."""
    rare = NoChart("too rare: half as many would not be noticed within a quarter of a year")
    if low * quarter < _FALL_EVENTS:
        return rare
    plan = _plan(low, _odds_times(low, 1 / ODDS_RATIO), run)
    return plan if plan.delay <= quarter else rare


def mean_plan(summary: ReferenceSummary, stream: Stream) -> MeanPlan | NoChart:
    """Return the chart of the daily means of a number."""
    reference = summary.streams[stream.name]
    days = len(reference.means)
    found = ewma.reference_of(reference.means)
    if days < FEWEST_DAYS or isinstance(found, Undefined):
        return NoChart(
            f"{days} days with {ewma.DAY_CASES} or more in the reference period; {FEWEST_DAYS} are "
            "needed, not all equal"
        )
    charts = sum(
        each.measure is Measure.NUMBER and len(summary.streams[each.name].means) >= FEWEST_DAYS
        for each in STREAMS
    )
    design = EwmaDesign(width=_width(float(f"{_DAYS * charts / (_MEAN_SHARE * FALSE_ALARMS):.2g}")))
    # Upper 90 % bound of the deviation, and the error of the mean of so many days.
    factor = sqrt((days - 1) / chi_square_limit(0.9, days - 1)) * sqrt(1 + 4 / days)
    widened = EwmaReference(mean=found.mean, deviation=found.deviation * factor)
    return MeanPlan(
        design=design,
        reference=widened,
        false_every=ewma.average_run_length(design),
        delay=ewma.average_run_length(design, 1 / factor),
    )


@lru_cache(maxsize=64)
def _width(days: float) -> float:
    """Return the smallest width of at least 3.5 whose false alarms are so many days apart."""
    low = high = WIDTH
    while ewma.average_run_length(EwmaDesign(width=high)) < days:
        low, high = high, high + 0.25
    while high - low > 0.005:
        middle = (low + high) / 2
        is_short = ewma.average_run_length(EwmaDesign(width=middle)) < days
        low, high = (middle, high) if is_short else (low, middle)
    return high


@lru_cache(maxsize=512)
def _plan(p0: float, p1: float, run: float) -> RatePlan:
    design = design_chart(p0, p1, run)
    return RatePlan(design=design, false_every=run, delay=cusum.average_run_length(design, p1))


def _bounds(reference: StreamReference) -> tuple[float, float]:
    """Return the bounds of the reference rate, to three significant digits."""
    interval = wilson(reference.events, reference.n, level=_BOUND_LEVEL).interval
    if not isinstance(interval, Interval):
        return 0.0, 1.0
    return float(f"{interval.low:.3g}"), float(f"{interval.high:.3g}")


def _odds_times(rate: float, ratio: float) -> float:
    odds = ratio * rate / (1 - rate)
    return odds / (1 + odds)
