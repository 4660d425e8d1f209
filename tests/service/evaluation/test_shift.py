"""PSI, chi-square and Kolmogorov-Smirnov: figures, limits, false-alarm rates."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from service.evaluation.shift import (
    category_shift,
    decile_edges,
    distance_limit,
    distribution_shift,
    new_categories,
    population_stability,
    psi,
    psi_limit,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined


def test_the_guides_limits():
    """99 % of windows of 100, 200, 500 against 2,000."""
    assert [f"{psi_limit(10, n, 2000):.3f}" for n in (100, 200, 500)] == [
        "0.227", "0.119", "0.054",
    ]  # fmt: skip
    assert [f"{distance_limit(n, 2000):.3f}" for n in (100, 200, 500)] == [
        "0.167", "0.121", "0.081",
    ]  # fmt: skip


def test_the_usual_limits_of_psi_alarm_without_drift():
    """Of windows of 100 against 2,000 a third pass 0.1, 2 % pass 0.2, 1 % pass the limit by n."""
    generator = np.random.default_rng(1)
    found = np.array(
        [
            population_stability(generator.normal(size=2000), generator.normal(size=100)).statistic
            for _ in range(3000)
        ]
    )
    assert found.mean() == pytest.approx(9 * (1 / 100 + 1 / 2000), rel=0.08)
    assert (found > 0.1).mean() == pytest.approx(0.33, abs=0.04)
    assert (found > 0.2).mean() == pytest.approx(0.02, abs=0.008)
    assert (found > psi_limit(10, 100, 2000)).mean() == pytest.approx(0.01, abs=0.006)


def test_psi_by_hand():
    """Half a case is added to each bin, so that an empty bin is no infinity."""
    a, b = np.array([10.5, 0.5]) / 11, np.array([5.5, 5.5]) / 11
    assert psi([10, 0], [5, 5]) == pytest.approx(float(((b - a) * np.log(b / a)).sum()))
    assert psi([10, 0], [10, 0]) == 0.0


def test_a_shift_of_one_deviation_is_found_by_both():
    """And equal samples by neither."""
    generator = np.random.default_rng(2)
    reference, window = generator.normal(size=2000), generator.normal(1, size=100)
    for test in (population_stability, distribution_shift):
        assert test(reference, window).exceeded
        assert not test(reference, reference).exceeded
        assert (test(reference, window).window, test(reference, window).reference) == (100, 2000)


def test_equal_values_fill_one_bin():
    """Deciles that coincide are one edge; the limit has as many degrees of freedom as bins remain."""
    reference = [0.0] * 500 + np.linspace(1, 2, 500).tolist()
    edges = decile_edges(reference)
    assert len(edges) == 5
    assert edges.min() > 0
    shift = population_stability(reference, [0.0] * 50 + [1.5] * 50)
    assert shift.limit == pytest.approx(psi_limit(6, 100, 1000))


def test_a_reference_of_one_value_has_no_bins():
    """Another value in the window is a change, but has no PSI."""
    assert population_stability([3.0] * 100, [4.0] * 100).statistic == Undefined(Reason.NO_VARIANCE)


@pytest.mark.parametrize("test", [population_stability, distribution_shift])
def test_empty_samples_are_not_compared(test):
    """No statistic, no limit, no alarm."""
    for reference, window in (([], [1.0]), ([1.0, 2.0], [])):
        shift = test(reference, window)
        assert shift.statistic == shift.limit == Undefined(Reason.NO_CASES)
        assert not shift.exceeded


def test_random_categories_agree_with_scipy():
    """200 tables with large counts; scipy's homogeneity test without correction."""
    generator = np.random.default_rng(3)
    for _ in range(200):
        table = generator.integers(30, 200, (2, int(generator.integers(2, 7))))
        reference, window = ({f"c{n}": int(k) for n, k in enumerate(row)} for row in table)
        shift = category_shift(reference, window)
        assert shift.statistic == pytest.approx(chi2_contingency(table, correction=False).statistic)


def test_rare_categories_are_merged():
    """Five devices with two studies each are one row; without them the test has one degree less."""
    reference = {"a": 500, "b": 500} | {f"rare{n}": 2 for n in range(5)}
    window = {"a": 50, "b": 50} | {f"rare{n}": 10 for n in range(5)}
    shift = category_shift(reference, window)
    merged = chi2_contingency([[500, 500, 10], [50, 50, 50]], correction=False)
    assert shift.statistic == pytest.approx(merged.statistic)
    assert shift.limit == pytest.approx(9.21, abs=0.01)


def test_categories_alarm_as_often_as_stated():
    """2,000 windows of 100 without drift, rare categories among them: about 1 %."""
    generator = np.random.default_rng(4)
    shares = [0.5, 0.3, 0.15, 0.03, 0.02]
    exceeded = 0
    for _ in range(2000):
        rows = (generator.multinomial(n, shares) for n in (2000, 100))
        reference, window = ({f"c{n}": int(k) for n, k in enumerate(row)} for row in rows)
        exceeded += category_shift(reference, window).exceeded
    assert 8 <= exceeded <= 36


def test_categories_that_cannot_be_compared():
    """No studies, or one category."""
    assert category_shift({}, {"a": 3}).statistic == Undefined(Reason.NO_CASES)
    assert category_shift({"a": 3}, {}).statistic == Undefined(Reason.NO_CASES)
    assert category_shift({"a": 30}, {"a": 30}).statistic == Undefined(Reason.ONE_CATEGORY)
    assert category_shift({"a": 3, "b": 1}, {"a": 1, "b": 1}).statistic == Undefined(
        Reason.ONE_CATEGORY
    )


def test_a_new_device_is_named_at_once():
    """For any number; a category without studies does not count."""
    assert new_categories({"a": 5, "b": 0}, {"a": 1, "b": 1, "c": 2, "d": 0}) == ("b", "c")


def test_the_distance_is_scipys():
    """With ties."""
    generator = np.random.default_rng(5)
    for _ in range(50):
        first, second = (np.round(generator.normal(size=n), 1) for n in (80, 45))
        assert distribution_shift(first, second).statistic == pytest.approx(
            ks_2samp(first, second).statistic
        )


def test_unusable_values_are_refused():
    """NaN in a stream of image statistics must not vanish in a bin."""
    for test in (population_stability, distribution_shift):
        with pytest.raises(EvaluationInputError, match="window"):
            test([1.0, 2.0], [np.nan])
    with pytest.raises(EvaluationInputError, match="reference"):
        decile_edges([])
    with pytest.raises(EvaluationInputError, match="count"):
        category_shift({"a": -1}, {"a": 1})
