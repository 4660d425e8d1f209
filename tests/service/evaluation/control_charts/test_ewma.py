"""Run lengths of the EWMA chart against the guide's table and against simulation."""

import numpy as np
import pytest

from service.evaluation.control_charts.ewma import (
    EwmaDesign,
    EwmaReference,
    average_run_length,
    daily_means,
    reference_of,
    run_chart,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined

STANDARD = EwmaReference(mean=0.0, deviation=1.0)


@pytest.mark.parametrize(
    ("width", "false_alarm", "delay"), [(2.86, 363, 9), (3.25, 1192, 13), (3.5, 2923, 15)]
)
def test_the_guides_run_lengths(width, false_alarm, delay):
    """Days between false alarms, and until a shift of 1 SD is seen; the guide simulated them."""
    design = EwmaDesign(weight=0.2, width=width)
    assert average_run_length(design) == pytest.approx(false_alarm, rel=0.035)
    assert average_run_length(design, 1.0) == pytest.approx(delay, abs=1.1)


def test_published_run_lengths():
    """Lucas and Saccucci's table: lambda .2, L 2.962 has 500; a shift of 1 SD takes 10.5 days."""
    design = EwmaDesign(weight=0.2, width=2.962)
    assert average_run_length(design) == pytest.approx(500, rel=0.01)
    assert average_run_length(design, 1.0) == pytest.approx(10.5, abs=0.1)


def test_a_weight_of_one_is_a_chart_of_single_days():
    """Shewhart's chart: 3 SD are passed once in 370 days."""
    assert average_run_length(EwmaDesign(weight=1.0, width=3.0)) == pytest.approx(370.4, rel=0.001)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_simulated_charts_signal_as_often_as_computed(shift):
    """400,000 days of the chart itself, within 8 %."""
    design = EwmaDesign(weight=0.2, width=2.86)
    days = np.random.default_rng(1).normal(shift, size=400_000)
    alarms = run_chart(design, STANDARD, days.tolist()).alarms
    assert 400_000 / len(alarms) == pytest.approx(average_run_length(design, shift), rel=0.08)


def test_a_chart_by_hand():
    """Z = .2 x + .8 z in standard deviations of the reference."""
    path = run_chart(EwmaDesign(), EwmaReference(mean=100.0, deviation=10.0), [110, 90, 100])
    assert path.values == pytest.approx([0.2, -0.04, -0.032])
    assert path.alarms == ()


def test_a_signal_starts_the_chart_again_and_shows_the_value_that_signalled():
    """A day 10 SD off signals at once, either way."""
    for sign in (1, -1):
        path = run_chart(EwmaDesign(), STANDARD, [10.0 * sign, 0.0])
        assert path.alarms == (0,)
        assert path.values.tolist() == [2.0 * sign, 0.0]


def test_days_with_few_cases_are_left_out():
    """Below 20 a mean is too uncertain; the order of days is kept."""
    days = ["mon"] * 20 + ["tue"] * 19 + ["wed"] * 21
    means = daily_means(days, [1.0] * 20 + [9.0] * 19 + [3.0] * 21)
    assert means == [("mon", 1.0, 20), ("wed", 3.0, 21)]


def test_a_reference_needs_days_that_differ():
    """One day, or equal days, have no standard deviation."""
    assert reference_of([1.0]) == Undefined(Reason.NO_CASES)
    assert reference_of([2.0, 2.0]) == Undefined(Reason.NO_VARIANCE)
    assert reference_of([1.0, 3.0]) == EwmaReference(mean=2.0, deviation=pytest.approx(2**0.5))


def test_unusable_input_is_refused():
    """NaN, other lengths, a weight of 0."""
    for call in (
        lambda: daily_means(["a"], [np.nan]),
        lambda: daily_means(["a"], [1.0, 2.0]),
        lambda: EwmaDesign(weight=0),
        lambda: EwmaDesign(width=0),
    ):
        with pytest.raises(EvaluationInputError):
            call()
