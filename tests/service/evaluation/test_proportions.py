"""Wilson's interval against published figures and statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from service.evaluation.proportions import wilson
from service.evaluation.values import EvaluationInputError, Reason, Undefined


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(109, 150, ".650", ".792"), (126, 150, ".773", ".890"), (0, 20, ".000", ".161")],
)
def test_known_intervals(successes, n, low, high):
    """The figures of the evaluation guide, section 3."""
    interval = wilson(successes, n).interval
    assert (f"{interval.low:.3f}"[1:], f"{interval.high:.3f}"[1:]) == (low, high)


def test_random_tables_agree_with_statsmodels():
    """200 tables, extreme ones among them, at three levels."""
    generator = np.random.default_rng(3)
    for _ in range(200):
        n = int(generator.integers(1, 400))
        k = int(generator.choice([0, n, generator.integers(0, n + 1)]))
        level = float(generator.choice([0.8, 0.95, 0.99]))
        mine = wilson(k, n, level=level)
        expected = proportion_confint(k, n, alpha=1 - level, method="wilson")
        assert (mine.interval.low, mine.interval.high) == pytest.approx(expected, abs=1e-12)
        assert mine.interval.low <= mine.value <= mine.interval.high


def test_no_cases_have_no_proportion():
    """The calling code gives the reason."""
    estimate = wilson(0, 0, reason=Reason.NO_POSITIVES)
    assert estimate.value == estimate.interval == Undefined(Reason.NO_POSITIVES)
    assert estimate.n == 0


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 2), (0, -1)])
def test_impossible_counts_are_refused(k, n):
    """More successes than cases, or negative counts."""
    with pytest.raises(EvaluationInputError):
        wilson(k, n)
