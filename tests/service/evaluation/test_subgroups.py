"""Minimum sizes, merged cells, age bands and the difference from the rest."""

import numpy as np
import pytest

from service.evaluation.resampling import Clusters
from service.evaluation.subgroups import (
    MERGED,
    UNKNOWN,
    Figure,
    age_band,
    difference_from_rest,
    merged_small_cells,
    too_few,
)
from service.evaluation.values import EvaluationInputError, Reason, Undefined


@pytest.mark.parametrize(
    ("figure", "enough", "short"),
    [
        (Figure.RATE, (0, 20), (10, 9)),
        (Figure.SENSITIVITY, (10, 0), (9, 1000)),
        (Figure.SPECIFICITY, (0, 10), (1000, 9)),
        (Figure.RANKING, (10, 10), (9, 1000)),
        (Figure.RANKING, (10, 10), (1000, 9)),
    ],
)
def test_each_figure_needs_its_cases(figure, enough, short):
    """20 cases for a rate, 10 of the class or classes for the others."""
    assert too_few(figure, positives=enough[0], negatives=enough[1]) is None
    missing = too_few(figure, positives=short[0], negatives=short[1])
    assert missing.n == missing.needed - 1


@pytest.mark.parametrize(
    ("years", "band"),
    [(0, "<18"), (17.9, "<18"), (18, "18-39"), (39.9, "18-39"), (40, "40-59"), (60, "60-79"),
     (79.9, "60-79"), (80, ">=80"), (110, ">=80"), (None, UNKNOWN)],
)  # fmt: skip
def test_age_bands(years, band):
    """Bounds belong to the older band."""
    assert age_band(years) == band


@pytest.mark.parametrize("years", [-1, float("nan"), float("inf")])
def test_an_impossible_age_is_refused(years):
    """A negative age is a mistake in the data, not a child."""
    with pytest.raises(EvaluationInputError, match="age"):
        age_band(years)


@pytest.mark.parametrize(
    ("counts", "merged"),
    [
        ({"a": 50, "b": 6}, set()),
        ({"a": 50, "b": 3, "c": 2}, {"b", "c"}),
        ({"a": 50, "b": 9, "c": 4}, {"b", "c"}),  # one small cell alone would be the difference
        ({"a": 50, "b": 9, "c": 1, "d": 1}, {"b", "c", "d"}),  # 2 together are still too few
        ({"a": 3}, {"a"}),
        ({"a": 50, "b": 0}, set()),
        ({}, set()),
    ],
)
def test_small_cells_are_merged_until_no_patient_is_alone(counts, merged):
    """A cell below 5 is merged with others; an empty cell discloses no person."""
    names = merged_small_cells(counts)
    assert {name for name, shown in names.items() if shown == MERGED} == merged
    assert all(shown == name for name, shown in names.items() if name not in merged)


def test_random_cells_are_never_disclosed():
    """500 tables: each shown cell, and the merged one, is 0 or at least 5, as far as there is more."""
    generator = np.random.default_rng(4)
    for _ in range(500):
        counts = {f"c{n}": int(k) for n, k in enumerate(generator.integers(0, 12, 6))}
        names, shown = merged_small_cells(counts), {}
        for name, count in counts.items():
            shown[names[name]] = shown.get(names[name], 0) + count
        if sum(counts.values()) >= 5:
            assert all(count == 0 or count >= 5 for count in shown.values())


def mean(rows):
    """The mean of rows of numbers."""
    return float(rows.mean())


def test_a_subgroup_that_differs_is_found():
    """The interval of the difference leaves 0 out; between groups of equal means it holds it."""
    values, members = np.random.default_rng(5).normal(size=200), np.arange(200) < 40
    values[members] -= values[members].mean()
    values[~members] -= values[~members].mean()
    clusters = Clusters([f"p{n:03d}" for n in range(200)])
    found = difference_from_rest(mean, values + members, members, clusters, draws=400)
    assert found.value == pytest.approx(1.0)
    assert found.interval.low > 0
    same = difference_from_rest(mean, values, members, clusters, draws=400).interval
    assert same.low < 0 < same.high


def test_without_members_or_others_there_is_no_difference():
    """A group of no cases, or of all."""
    clusters = Clusters(["a", "b", "c"])
    for members in (np.zeros(3, bool), np.ones(3, bool)):
        found = difference_from_rest(mean, np.arange(3.0), members, clusters, draws=5)
        assert found.value == Undefined(Reason.NO_CASES)
        assert found.interval == Undefined(Reason.NO_DEFINED_DRAW)
    with pytest.raises(EvaluationInputError, match="members"):
        difference_from_rest(mean, np.arange(3.0), np.ones(2, bool), clusters)
