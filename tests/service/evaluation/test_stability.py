"""The population stability index, against its definition."""

import math

import numpy as np
import pytest

from service.evaluation.stability import checked_sample, decile_edges, psi, psi_limit
from service.evaluation.values import EvaluationInputError


def test_edges_divide_a_sample_into_equal_parts():
    """Deciles of 0..100; repeated values make fewer bins."""
    assert decile_edges(np.arange(101)).tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert decile_edges([1] * 50 + [2] * 50).tolist() == [1.5, 2.0]
    assert decile_edges([5, 5, 5]).size == 0


def test_equal_shares_have_no_index():
    """For any size; a shift gives the sum of the definition."""
    assert psi([10, 10], [10, 10]) == 0
    first, second = (10.5 / 31, 20.5 / 31), (20.5 / 31, 10.5 / 31)
    expected = sum((b - a) * math.log(b / a) for a, b in zip(first, second, strict=True))
    assert psi([10, 20], [20, 10]) == pytest.approx(expected)


def test_the_limit_falls_with_the_size():
    """Chi-square of 9 degrees at 1 % is 21.666."""
    assert psi_limit(10, 100, 400) == pytest.approx(21.666 * (1 / 100 + 1 / 400), rel=1e-4)
    assert psi_limit(10, 1000, 4000) < psi_limit(10, 100, 400)


@pytest.mark.parametrize("values", [[1.0, math.nan], [[1.0]], [math.inf]])
def test_a_sample_is_one_row_of_numbers(values):
    """Anything else is an error with its name."""
    with pytest.raises(EvaluationInputError, match="reference"):
        checked_sample(values, "reference")
    with pytest.raises(EvaluationInputError, match="at least one"):
        decile_edges([])
