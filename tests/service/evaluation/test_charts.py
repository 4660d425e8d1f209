"""Charts as numbers: everything is within the frame, at the position of its value."""

import numpy as np
import pytest

from service.evaluation.calibration import reliability_bins
from service.evaluation.charts import cusum_chart, reliability_chart, roc_chart
from service.evaluation.control_charts.cusum import design_chart, run_chart
from service.evaluation.roc import auroc, roc_curve
from service.evaluation.values import EvaluationInputError

TRUTH = [1] * 5 + [0] * 7
SCORES = [0.9, 0.8, 0.7, 0.55, 0.3, 0.6, 0.5, 0.4, 0.35, 0.3, 0.2, 0.1]


def roc(threshold=0.5):
    """The chart of the example."""
    return roc_chart("roc", roc_curve(TRUTH, SCORES), auroc(TRUTH, SCORES), threshold=threshold)


def cusum(events):
    """The chart of a rate of .1, doubling to be found."""
    design = design_chart(0.1, 0.2, 1000)
    return cusum_chart("cusum", design, run_chart(design, events)), design


def value_at(chart, x, y):
    """The values at a place of a chart whose axes run from 0 to 1."""
    left, top, right, bottom = chart.frame
    return (x - left) / (right - left), (bottom - y) / (bottom - top)


def all_points(chart):
    """The places of all lines, bars, dots and ticks."""
    yield from (point for line in chart.lines for point in line.points)
    yield from ((bar.x, y) for bar in chart.bars for y in (bar.low, bar.high))
    yield from ((dot.x, dot.y) for dot in chart.dots)
    left, _, _, bottom = chart.frame
    yield from ((tick.place, bottom) for tick in chart.x_ticks)
    yield from ((left, tick.place) for tick in chart.y_ticks)


def test_everything_lies_in_the_frame():
    """Of each kind of chart, long and short, with alarms and without studies."""
    events = (np.random.default_rng(1).random(20_000) < 0.15).tolist()
    charts = [
        reliability_chart("bins", reliability_bins(TRUTH, SCORES)), roc(),
        cusum(events)[0], cusum([])[0], cusum([True] * 100)[0], cusum([False] * 3)[0],
    ]  # fmt: skip
    for chart in charts:
        left, top, right, bottom = chart.frame
        for x, y in all_points(chart):
            assert left - 0.01 <= x <= right + 0.01
            assert top - 0.01 <= y <= bottom + 0.01


def test_the_points_of_the_reliability_diagram():
    """One for each bin with cases, at its mean score and share, its n beside it."""
    bins = [each for each in reliability_bins(TRUTH, SCORES) if each.observed.n]
    chart = reliability_chart("bins", bins)
    assert len(chart.dots) == len(chart.bars) == len(bins)
    for dot, bar, each in zip(chart.dots, chart.bars, bins, strict=True):
        assert value_at(chart, dot.x, dot.y) == pytest.approx(
            (each.mean_score, each.observed.value), abs=0.001
        )
        assert value_at(chart, bar.x, bar.low)[1] == pytest.approx(
            each.observed.interval.low, abs=0.001
        )
        assert dot.label == str(each.observed.n)


def test_the_operating_point_of_the_roc_curve():
    """At 0.5 sensitivity .8 and specificity 5/7; above all scores the curve's origin."""
    chart = roc()
    dot = chart.dots[0]
    assert value_at(chart, dot.x, dot.y) == pytest.approx((2 / 7, 0.8), abs=0.001)
    assert "sensitivity 0.800, specificity 0.714" in dot.title
    origin = roc(threshold=2.0).dots[0]
    assert value_at(chart, origin.x, origin.y) == pytest.approx((0, 0), abs=0.001)
    assert roc(threshold=None).dots == ()
    assert "AUROC 0.843" in chart.description


def test_a_long_chart_keeps_its_alarms_and_extremes():
    """20,000 studies are drawn by at most 800 points; the highest value is one of them."""
    chart, design = cusum((np.random.default_rng(2).random(20_000) < 0.15).tolist())
    line = next(line for line in chart.lines if line.kind == "data")
    assert len(line.points) <= 800
    assert chart.dots
    limit = next(line for line in chart.lines if line.kind == "reference").points[0][1]
    assert all(dot.y <= limit for dot in chart.dots)
    assert min(y for _, y in line.points) <= limit
    assert f"{design.limit:.2f}" in chart.description


@pytest.mark.parametrize("name", ["", 'a" onload="x', "a b", "ä"])
def test_a_name_that_is_no_identifier_is_refused(name):
    """It becomes an attribute of the page."""
    with pytest.raises(EvaluationInputError, match="name"):
        reliability_chart(name, [])
