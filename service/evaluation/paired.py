"""Two models right or wrong on the same cases (McNemar), and p-values of many findings together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from service.evaluation.distributions import binomial_cumulative, binomial_probability
from service.evaluation.values import (
    Booleans,
    EvaluationInputError,
    Floats,
    Undefined,
    Value,
    checked_counts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Discordant pairs and what they say.

    Attributes:
        only_first: Cases that only the first model had right.
        only_second: Cases that only the second model had right.
        exact_p: Two-sided exact p-value (McNemar 1947, binomial); 1 without a discordant pair.
        mid_p: Two-sided mid-p value, less conservative (Fagerland 2013); 1 without a discordant pair.
    """

    only_first: int
    only_second: int
    exact_p: float
    mid_p: float


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Test whether two models are right equally often, by their discordant pairs.

    p = 2 BinCDF(min(b, c); b + c, 1/2), at most 1; mid-p takes off BinPMF(min(b, c)).

    Raises:
        EvaluationInputError: A count is negative.
    """
    checked_counts(only_first=only_first, only_second=only_second)
    fewer, n = min(only_first, only_second), only_first + only_second
    doubled = 2 * binomial_cumulative(fewer, n, 0.5)
    mid = doubled - binomial_probability(fewer, n, 0.5)
    return McNemar(
        only_first=only_first,
        only_second=only_second,
        exact_p=min(doubled, 1.0),
        mid_p=min(mid, 1.0),
    )


def mcnemar_of(first_right: Booleans, second_right: Booleans) -> McNemar:
    """Test two models by bool [n] each: whether each was right in each case.

    Raises:
        EvaluationInputError: The shapes differ.
    """
    if first_right.shape != second_right.shape:
        raise EvaluationInputError(
            f"both must have the same shape, not {first_right.shape} and {second_right.shape}"
        )
    return mcnemar(
        int((first_right & ~second_right).sum()), int((~first_right & second_right).sum())
    )


def holm(p_values: Sequence[Value]) -> list[Value]:
    """Return p-values adjusted by Holm's step-down method (Holm 1979): the chance of any false claim.

    An undefined p-value stays undefined and is no test that counts.

    Raises:
        EvaluationInputError: A p-value lies outside 0 to 1.
    """
    return _adjusted(p_values, _holm)


def benjamini_hochberg(p_values: Sequence[Value]) -> list[Value]:
    """Return p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995).

    An undefined p-value stays undefined and is no test that counts.

    Raises:
        EvaluationInputError: A p-value lies outside 0 to 1.
    """
    return _adjusted(p_values, lambda values: false_discovery_control(values, method="bh"))


def _adjusted(p_values: Sequence[Value], adjust: Callable[[Floats], ArrayLike]) -> list[Value]:
    places = [place for place, p in enumerate(p_values) if not isinstance(p, Undefined)]
    defined = np.array([p_values[place] for place in places], dtype=np.float64)
    if not ((defined >= 0) & (defined <= 1)).all():
        raise EvaluationInputError("p-values must lie between 0 and 1")
    result = list(p_values)
    if places:
        for place, p in zip(places, np.asarray(adjust(defined)), strict=True):
            result[place] = float(p)
    return result


def _holm(values: Floats) -> Floats:
    order = np.argsort(values, kind="stable")
    factors = np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted
