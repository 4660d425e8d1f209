"""The population stability index: counts between the deciles of a reference, and its limit by size."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from service.evaluation.distributions import chi_square_limit
from service.evaluation.values import EvaluationInputError, Floats

FALSE_ALARM: Final = 0.01
BINS: Final = 10


def decile_edges(reference: ArrayLike, *, bins: int = BINS) -> Floats:
    """Return the inner edges of equally filled bins of the reference, at most bins - 1, all different.

    Raises:
        EvaluationInputError: The reference is empty or not finite.
    """
    values = checked_sample(reference, "reference")
    if values.size == 0:
        raise EvaluationInputError("the reference must hold at least one value")
    inner = np.quantile(values, np.arange(1, bins) / bins)
    # A value that fills several bins makes equal edges; an edge at the minimum makes an empty bin.
    edges = np.unique(inner)
    return np.asarray(edges[edges > values.min()], dtype=np.float64)


def psi(expected: ArrayLike, found: ArrayLike) -> float:
    """Return PSI of two rows of counts [k], 1/2 added to each count, at least 0."""
    first, second = (np.asarray(counts, dtype=np.float64) + 0.5 for counts in (expected, found))
    first, second = first / first.sum(), second / second.sum()
    return float(((second - first) * np.log(second / first)).sum())


def psi_limit(bins: int, n: int, m: int, *, false_alarm: float = FALSE_ALARM) -> float:
    """Return the PSI that windows of n against a reference of m pass with this probability."""
    return chi_square_limit(false_alarm, bins - 1) * (1 / n + 1 / m)


def checked_sample(values: ArrayLike, name: str) -> Floats:
    """Return values as float64 [n].

    Raises:
        EvaluationInputError: They are not one-dimensional or not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise EvaluationInputError(f"{name} must be one-dimensional and finite")
    return numbers
