"""How many cases a question needs, and what difference a given number could have shown."""

from math import ceil
from typing import Final

from service.evaluation.distributions import (
    binomial_critical,
    binomial_cumulative,
    normal_quantile,
)
from service.evaluation.values import LEVEL, EvaluationInputError, Reason, Undefined, Value

ALPHA: Final = 0.05
POWER: Final = 0.8
# The power of an exact test goes up and down with n: so many sizes in a row must reach it.
_STEADY: Final = 5
_LARGEST: Final = 200_000


def size_for_width(share: float, half_width: float, *, level: float = LEVEL) -> int:
    """Return n for an interval of +-half_width around a proportion: z^2 p(1 - p)/d^2, rounded up.

    Args:
        share: The expected proportion, between 0 and 1.
        half_width: Half the width of the interval, between 0 and 1 (0.05 is 5 points).
        level: Nominal coverage.

    Raises:
        EvaluationInputError: An argument lies outside 0 to 1.
    """
    _check_shares(share=share, half_width=half_width, level=level)
    z = normal_quantile(0.5 + level / 2)
    # Rounded first: 0.16 * 4 / 0.0025 must not become 256.00000000000006 and so 257.
    return ceil(round(z * z * share * (1 - share) / half_width**2, 9))


def size_to_detect_drop(
    expected: float, dropped: float, *, alpha: float = ALPHA, power: float = POWER
) -> int:
    """Return n for which a one-sided exact binomial test detects a drop of a proportion.

    The test rejects `expected` where so few successes have a probability of at most `alpha`; n is the
    smallest from which on five sizes in a row have the power if the proportion is `dropped`: the
    power of an exact test goes up and down with n (Chernick and Liu 2002).

    Args:
        expected: The proportion that is held to be true, between 0 and 1.
        dropped: The lower proportion that must be detected.
        alpha: Probability of a false alarm.
        power: Probability of detection.

    Raises:
        EvaluationInputError: An argument lies outside 0 to 1, or `dropped` is not below `expected`.
    """
    _check_shares(expected=expected, dropped=dropped, alpha=alpha, power=power)
    if dropped >= expected:
        raise EvaluationInputError(f"dropped ({dropped}) must be below expected ({expected})")
    steady = 0
    for n in range(1, _LARGEST):
        steady = steady + 1 if power_of_drop(n, expected, dropped, alpha=alpha) >= power else 0
        if steady == _STEADY:
            return n - _STEADY + 1
    raise EvaluationInputError(f"a drop from {expected} to {dropped} needs over {_LARGEST} cases")


def power_of_drop(n: int, expected: float, dropped: float, *, alpha: float = ALPHA) -> float:
    """Return the probability that n cases show a drop from `expected` to `dropped`, 0 to 1."""
    return binomial_cumulative(binomial_critical(alpha, n, expected), n, dropped)


def detectable_drop(
    n: int, expected: float, *, alpha: float = ALPHA, power: float = POWER
) -> Value:
    """Return the smallest drop below `expected` that n cases show with the power, to 0.0001.

    Undefined where n is so small that even a drop to 0 could not be shown.

    Raises:
        EvaluationInputError: An argument lies outside 0 to 1.
    """
    _check_shares(expected=expected, alpha=alpha, power=power)
    if n < 1 or power_of_drop(n, expected, 0.0, alpha=alpha) < power:
        return Undefined(Reason.NO_CASES if n < 1 else Reason.NOT_ESTIMATED)
    low, high = 0.0, expected
    while high - low > 1e-4:
        middle = (low + high) / 2
        if power_of_drop(n, expected, expected - middle, alpha=alpha) >= power:
            high = middle
        else:
            low = middle
    return high


def pairs_for_non_inferiority(
    margin: float, discordant: float, *, alpha: float = ALPHA, power: float = POWER
) -> int:
    """Return the pairs for non-inferiority of paired proportions that are truly equal.

    n = (z_alpha + z_power)^2 * discordant / margin^2, rounded up (Liu 2002).

    Args:
        margin: The largest difference still accepted, between 0 and 1.
        discordant: The expected share of discordant pairs, between 0 and 1.
        alpha: One-sided level.
        power: Probability to show non-inferiority.

    Raises:
        EvaluationInputError: An argument lies outside 0 to 1.
    """
    _check_shares(margin=margin, discordant=discordant, alpha=alpha, power=power)
    z = normal_quantile(1 - alpha) + normal_quantile(power)
    return ceil(round(z * z * discordant / margin**2, 9))


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise EvaluationInputError(f"{name} must lie between 0 and 1, not {share}")
