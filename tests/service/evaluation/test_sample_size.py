"""Sizes against the guide's figures, and their meaning by simulation."""

import numpy as np
import pytest
from scipy.stats import binom

from service.evaluation.proportions import wilson
from service.evaluation.sample_size import (
    detectable_drop,
    pairs_for_non_inferiority,
    power_of_drop,
    size_for_width,
    size_to_detect_drop,
)
from service.evaluation.values import EvaluationInputError, Undefined


@pytest.mark.parametrize(
    ("share", "half_width", "n"),
    [(0.8, 0.05, 246), (0.8, 0.1, 62), (0.9, 0.05, 139), (0.9, 0.1, 35)],
)
def test_sizes_for_a_width(share, half_width, n):
    """The guide's figures; Wilson's interval at that n is as wide as wanted."""
    assert size_for_width(share, half_width) == n
    interval = wilson(round(share * n), n).interval
    assert (interval.high - interval.low) / 2 == pytest.approx(half_width, rel=0.06)


@pytest.mark.parametrize(
    ("expected", "dropped", "n"),
    [(0.9, 0.8, 89), (0.9, 0.85, 284), (0.8, 0.7, 127), (0.73, 0.63, 148)],
)
def test_sizes_to_detect_a_drop(expected, dropped, n):
    """The guide's figures: one-sided 5 %, power 80 %."""
    assert size_to_detect_drop(expected, dropped) == n
    assert power_of_drop(n, expected, dropped) >= 0.8
    assert power_of_drop(n, expected, expected) <= 0.05


def test_the_power_is_that_of_simulated_samples():
    """20,000 samples of 89 at .8 against .9."""
    found = np.random.default_rng(1).binomial(89, 0.8, 20_000)
    rejected = found <= binom.ppf(0.05, 89, 0.9) - 1
    assert power_of_drop(89, 0.9, 0.8) == pytest.approx(rejected.mean(), abs=0.01)


def test_the_detectable_drop_is_the_inverse_of_the_size():
    """89 cases at .9 can detect about ten points; more cases detect less."""
    assert detectable_drop(89, 0.9) == pytest.approx(0.1, abs=0.01)
    drops = [detectable_drop(n, 0.9) for n in (50, 100, 400, 1600)]
    assert drops == sorted(drops, reverse=True)
    assert power_of_drop(100, 0.9, 0.9 - drops[1]) >= 0.8


@pytest.mark.parametrize(("n", "expected"), [(0, 0.9), (1, 0.9), (3, 0.2)])
def test_too_few_cases_can_show_no_drop(n, expected):
    """Not even one to 0."""
    assert isinstance(detectable_drop(n, expected), Undefined)


def test_pairs_for_non_inferiority():
    """Margin 10 points, 30 % discordant: 185.5, so 186 pairs."""
    assert pairs_for_non_inferiority(0.1, 0.3) == 186


@pytest.mark.parametrize(
    "call",
    [
        lambda: size_for_width(1.0, 0.05),
        lambda: size_for_width(0.8, 5),
        lambda: size_to_detect_drop(0.8, 0.9),
        lambda: size_to_detect_drop(0.8, 0.8),
        lambda: pairs_for_non_inferiority(0, 0.3),
        lambda: detectable_drop(10, 1.2),
    ],
)
def test_impossible_questions_are_refused(call):
    """Shares outside 0 to 1 (5 is not 5 points), a drop upwards."""
    with pytest.raises(EvaluationInputError):
        call()
