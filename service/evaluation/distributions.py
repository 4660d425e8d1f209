"""The distribution functions used here, by scipy.special, with plain floats in and out."""

from math import exp

import numpy as np
from scipy.special import bdtr, chdtri, gammaln, ndtr, ndtri, xlog1py, xlogy

from service.evaluation.values import Floats


def normal_quantile(probability: float) -> float:
    """Return the standard normal deviate below which the probability lies."""
    return float(ndtri(probability))


def normal_density(values: Floats) -> Floats:
    """Return the standard normal density of each value."""
    return np.asarray(np.exp(-(values**2) / 2) / np.sqrt(2 * np.pi), dtype=np.float64)


def two_sided_normal_p(z: float) -> float:
    """Return the probability of a standard normal deviate at least as far from 0 as z."""
    return 2 * float(ndtr(-abs(z)))


def binomial_cumulative(successes: int, n: int, share: float) -> float:
    """Return the probability of at most so many successes of n, 0 where `successes` is negative."""
    return float(bdtr(successes, n, share)) if successes >= 0 else 0.0


def binomial_probability(successes: int, n: int, share: float) -> float:
    """Return the probability of exactly so many successes of n."""
    ways = gammaln(n + 1) - gammaln(successes + 1) - gammaln(n - successes + 1)
    return exp(float(ways + xlogy(successes, share) + xlog1py(n - successes, -share)))


def binomial_critical(alpha: float, n: int, share: float) -> int:
    """Return the largest k with P(at most k successes of n) <= alpha, -1 where there is none."""
    cumulative = bdtr(np.arange(n + 1), n, share)
    return int(np.searchsorted(cumulative, alpha, side="right")) - 1


def chi_square_limit(probability: float, degrees: int) -> float:
    """Return what a chi-square variable of so many degrees of freedom exceeds with the probability."""
    return float(chdtri(degrees, probability))
