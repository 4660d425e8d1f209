"""The distribution functions against scipy.stats."""

import numpy as np
import pytest
from scipy import stats

from service.evaluation import distributions


def test_each_function_equals_that_of_scipy_stats():
    """At random arguments, in the tails as well."""
    generator = np.random.default_rng(1)
    for _ in range(100):
        p, n = float(generator.uniform(0.001, 0.999)), int(generator.integers(1, 500))
        k = int(generator.integers(0, n + 1))
        z = float(generator.normal() * 3)
        assert distributions.normal_quantile(p) == pytest.approx(stats.norm.ppf(p))
        assert distributions.two_sided_normal_p(z) == pytest.approx(2 * stats.norm.sf(abs(z)))
        assert distributions.normal_density(np.array([z])) == pytest.approx(stats.norm.pdf([z]))
        assert distributions.binomial_cumulative(k, n, p) == pytest.approx(
            stats.binom.cdf(k, n, p), abs=1e-13
        )
        assert distributions.binomial_probability(k, n, p) == pytest.approx(
            stats.binom.pmf(k, n, p), rel=1e-9, abs=1e-300
        )
        assert distributions.chi_square_limit(p, 1 + n % 20) == pytest.approx(
            stats.chi2.isf(p, 1 + n % 20)
        )


def test_certain_events_have_a_probability():
    """P of 0 and 1 give no logarithm of 0."""
    assert distributions.binomial_probability(0, 5, 0.0) == 1.0
    assert distributions.binomial_probability(5, 5, 1.0) == 1.0
    assert distributions.binomial_cumulative(-1, 5, 0.5) == 0.0


def test_the_critical_number_is_the_largest_that_is_improbable_enough():
    """And -1 where even no success is too probable."""
    critical = distributions.binomial_critical(0.05, 89, 0.9)
    assert stats.binom.cdf(critical, 89, 0.9) <= 0.05 < stats.binom.cdf(critical + 1, 89, 0.9)
    assert distributions.binomial_critical(0.05, 1, 0.9) == -1
