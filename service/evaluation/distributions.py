"""The distribution functions used here, by scipy.special, with plain floats in and out."""

from math import exp

import numpy as np
import scipy  # its sub-packages are imported when they are used, not at every start

from service.evaluation.values import Floats


def normal_quantile(probability: float) -> float:
    """Return the standard normal deviate below which the probability lies."""
    return float(scipy.special.ndtri(probability))


def student_quantile(probability: float, degrees: int) -> float:
    """Return Student's t of so many degrees of freedom below which the probability lies."""
    return float(scipy.special.stdtrit(degrees, probability))


def normal_density(values: Floats) -> Floats:
    """Return the standard normal density of each value."""
    return np.asarray(np.exp(-(values**2) / 2) / np.sqrt(2 * np.pi), dtype=np.float64)


def two_sided_normal_p(z: float) -> float:
    """Return the probability of a standard normal deviate at least as far from 0 as z."""
    return 2 * float(scipy.special.ndtr(-abs(z)))


def binomial_cumulative(successes: int, n: int, share: float) -> float:
    """Return the probability of at most so many successes of n, 0 where `successes` is negative."""
    return float(scipy.special.bdtr(successes, n, share)) if successes >= 0 else 0.0


def binomial_probability(successes: int, n: int, share: float) -> float:
    """Return the probability of exactly so many successes of n."""
    special = scipy.special
    ways = (
        special.gammaln(n + 1) - special.gammaln(successes + 1) - special.gammaln(n - successes + 1)
    )
    logs = special.xlogy(successes, share) + special.xlog1py(n - successes, -share)
    return exp(float(ways + logs))


def binomial_critical(alpha: float, n: int, share: float) -> int:
    """Return the largest k with P(at most k successes of n) <= alpha, -1 where there is none."""
    cumulative = scipy.special.bdtr(np.arange(n + 1), n, share)
    return int(np.searchsorted(cumulative, alpha, side="right")) - 1


def chi_square_limit(probability: float, degrees: int) -> float:
    """Return what a chi-square variable of so many degrees of freedom exceeds with the probability."""
    return float(scipy.special.chdtri(degrees, probability))
