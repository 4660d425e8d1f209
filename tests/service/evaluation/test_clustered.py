"""Intervals by cases: Wilson's for independent ratings, exact at the limits, and their coverage."""

import numpy as np
import pytest

from service.evaluation.clustered import (
    clustered_difference,
    clustered_proportion,
    counted_proportion,
)
from service.evaluation.proportions import wilson
from service.evaluation.resampling import Clusters
from service.evaluation.values import EvaluationInputError, Reason


def cases(count, each=1):
    """Return so many cases with so many ratings each."""
    return Clusters([f"{case:04d}" for case in range(count) for _ in range(each)])


def drawn(rng, share, count, readers):
    """Return ratings of one arm [count * readers]; those of one case are correlated by 0.4."""
    chance = rng.beta(1.5 * share, 1.5 * (1 - share), count)
    return (rng.random((count, readers)) < chance[:, None]).astype(float).ravel()


def test_many_independent_ratings_have_wilsons_interval():
    """1,000 cases, one rating each: Student's t is close to the normal deviate."""
    successes = np.arange(1000) % 4 > 0
    found = clustered_proportion(successes, cases(1000))
    expected = wilson(750, 1000).interval
    assert found.value == 0.75
    assert found.interval.low == pytest.approx(expected.low, abs=2e-4)
    assert found.interval.high == pytest.approx(expected.high, abs=2e-4)


def test_readers_who_agree_on_each_case_add_nothing():
    """Three equal ratings a case are as wide as one."""
    successes = np.arange(40) % 5 > 0
    one = clustered_proportion(successes, cases(40)).interval
    three = clustered_proportion(np.repeat(successes, 3), cases(40, 3)).interval
    assert (three.low, three.high) == (pytest.approx(one.low), pytest.approx(one.high))


def test_cases_that_all_succeed_have_an_interval():
    """Percentiles of resampled cases would say 100 % to 100 %."""
    found = clustered_proportion(np.ones(30), cases(10, 3)).interval
    assert found.high == 1
    assert found.low == pytest.approx(10 / (10 + 2.262157**2), abs=1e-5)


def test_equal_arms_have_the_exact_bound():
    """29 cases: at most 9.8 % of all cases differ, with 95 % confidence in one direction."""
    found = clustered_difference(np.ones(29), np.ones(29), cases(29), level=0.9)
    assert found.interval.low == pytest.approx(0.05 ** (1 / 29) - 1)


def test_exchanged_arms_have_the_opposite_difference():
    """And bounds within -1 to 1."""
    rng = np.random.default_rng(4)
    first, second = drawn(rng, 0.7, 12, 2), drawn(rng, 0.8, 12, 2)
    one = clustered_difference(first, second, cases(12, 2))
    other = clustered_difference(second, first, cases(12, 2))
    assert one.value == pytest.approx(-other.value)
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert -1 <= one.interval.low < one.value < one.interval.high <= 1


@pytest.mark.parametrize("count", [5, 10, 20, 50])
def test_intervals_of_few_cases_cover_as_stated(count):
    """400 studies, three readers: at least 92 % of the 95 % intervals; percentiles reach 40 to 93 %."""
    rng = np.random.default_rng(count)
    clusters = cases(count, 3)
    hits = np.zeros(3)
    for _ in range(400):
        draft, reference = drawn(rng, 0.75, count, 3), drawn(rng, 0.9, count, 3)
        for place, (found, truth) in enumerate(
            (
                (clustered_proportion(draft, clusters), 0.75),
                (clustered_proportion(reference, clusters), 0.9),
                (clustered_difference(draft, reference, clusters), -0.15),
            )
        ):
            hits[place] += found.interval.low <= truth <= found.interval.high
    assert (hits / 400 >= 0.92).all(), hits / 400


def test_one_case_has_no_interval():
    """Nothing varies."""
    found = clustered_proportion([1, 0], cases(1, 2))
    assert (found.value, found.interval.reason) == (0.5, Reason.ONE_CASE)
    assert clustered_difference([], [], Clusters([])).value.reason is Reason.NO_CASES


@pytest.mark.parametrize("ratings", [[1, 0], [1, 0, 2]])
def test_other_ratings_are_refused(ratings):
    """Another number of rows, and a value that is neither 0 nor 1."""
    with pytest.raises(EvaluationInputError):
        clustered_proportion(ratings, cases(3))


def test_counts_of_each_case_have_the_interval_of_its_ratings():
    """In any order, to the last digit; a case without a rating is left out."""
    rng = np.random.default_rng(5)
    ratings = drawn(rng, 0.7, 30, 4)
    right = ratings.reshape(30, 4).sum(1).astype(int)
    found = counted_proportion(right, np.full(30, 4))
    other = clustered_proportion(ratings, cases(30, 4))
    assert (found.value, found.interval, found.n) == (other.value, other.interval, 120)
    order = rng.permutation(30)
    assert counted_proportion([*right[order], 0], [*[4] * 30, 0]) == found


def test_equal_shares_in_all_cases_add_no_variance():
    """2 of 4 in each case: no case differs from another, so all ratings count."""
    found = counted_proportion([2] * 25, [4] * 25).interval
    expected = wilson(50, 100).interval
    assert found.low == pytest.approx(expected.low, abs=0.01)


@pytest.mark.parametrize(
    ("right", "ratings"), [([1], [1, 2]), ([2], [1]), ([-1], [1]), ([[1]], [[1]])]
)
def test_counts_that_are_none_are_refused(right, ratings):
    """Another shape, more successes than ratings, below 0."""
    with pytest.raises(EvaluationInputError):
        counted_proportion(right, ratings)
