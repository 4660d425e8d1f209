"""Which charts a rate has, by how rare it is in the reference period."""

import pytest

from service.drift.designs import NoChart, RatePlan, rate_plans
from service.drift.kinds import ChartKind
from service.drift.streams import STREAMS, WATCHED_FINDINGS, finding_stream
from service.drift.summary import ReferenceSummary, StreamReference

STREAM = next(each for each in STREAMS if each.name == finding_stream(WATCHED_FINDINGS[0]))


def summary_of(*, events, n, days):
    """Return a reference period in which one finding has these events."""
    streams = {each.name: StreamReference() for each in STREAMS}
    streams[STREAM.name] = StreamReference(n=n, events=events)
    return ReferenceSummary(days=days, readings=n, streams=streams)


def test_a_rare_finding_has_a_chart_of_a_fall_where_a_quarter_suffices():
    """1.7 % of 31,440 studies in two years, as edema in PadChest: found within a quarter's studies."""
    summary = summary_of(events=534, n=31_440, days=730)
    plan = rate_plans(summary, STREAM)[ChartKind.FALL]
    assert isinstance(plan, RatePlan)
    assert plan.design.p1 < plan.design.p0 < 0.017
    assert 1000 < plan.delay <= summary.per_quarter(STREAM.name)


@pytest.mark.parametrize("events", [0, 3, 60])
def test_a_rarer_one_has_none(events):
    """The delay would be longer than a quarter of a year; a rise is charted all the same."""
    plans = rate_plans(summary_of(events=events, n=31_440, days=730), STREAM)
    assert isinstance(plans[ChartKind.FALL], NoChart)
    assert "within a quarter" in plans[ChartKind.FALL].words
    assert isinstance(plans[ChartKind.RISE], RatePlan)


@pytest.mark.parametrize(("n", "days"), [(500, 10), (2000, 35)])
def test_a_frequent_finding_has_both(n, days):
    """Also with a short reference period."""
    plans = rate_plans(summary_of(events=n // 5, n=n, days=days), STREAM)
    assert all(isinstance(plan, RatePlan) for plan in plans.values())
