"""A proportion with Wilson's score interval."""

from math import sqrt

from service.evaluation.distributions import normal_quantile
from service.evaluation.values import (
    LEVEL,
    Estimate,
    EvaluationInputError,
    Interval,
    Reason,
    Undefined,
    checked_counts,
    checked_level,
)


def wilson(
    successes: int, n: int, *, level: float = LEVEL, reason: Reason = Reason.NO_CASES
) -> Estimate:
    """Return successes/n with Wilson's score interval without continuity correction (Wilson 1927).

    Args:
        successes: Number of successes, 0 to n.
        n: Number of cases; with 0 the estimate is Undefined for `reason`.
        level: Nominal coverage in (0, 1).
        reason: Why there is no figure where n is 0.

    Raises:
        EvaluationInputError: A count is negative or successes exceed n.
    """
    checked_counts(successes=successes, n=n)
    if successes > n:
        raise EvaluationInputError(f"successes ({successes}) exceed n ({n})")
    if n == 0:
        return Estimate(Undefined(reason), Undefined(reason), 0)
    z = normal_quantile(0.5 + checked_level(level) / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # The bounds at 0 and n are exact; rounding must not move them off.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Estimate(share, Interval(low, high, level), n)
