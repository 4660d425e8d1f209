"""A figure or the reason why there is none; estimates with intervals; checks of input arrays.

A metric without a value (no positives, one class, n = 0) is an `Undefined`, which is neither 0 nor NaN:
it cannot be averaged, compared or printed as a figure by mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

LEVEL: Final = 0.95


class EvaluationInputError(ValueError):
    """The arguments of a metric are not usable: shape, range or type. The message names the argument."""


class Reason(StrEnum):
    """Why a metric has no value."""

    NO_CASES = "no cases"
    NO_POSITIVES = "no positive cases"
    NO_NEGATIVES = "no negative cases"
    NO_CALLED_POSITIVE = "no case was called positive"
    NO_CALLED_NEGATIVE = "no case was called negative"
    EMPTY_CLASS = "no positive case in the truth or in the drafts"
    ONE_PER_CLASS = "fewer than two cases of a class"
    AT_BOUNDARY = "the estimate is 0 or 1, where the logit is infinite"
    NO_VARIANCE = "the variance is zero"
    SEPARATED = "the scores separate the classes: the regression has no finite solution"
    ONE_RATER = "no case was rated at least twice"
    ONE_CATEGORY = "every rating is of one category, so chance agreement is 1"
    NO_DEFINED_DRAW = "no resample gave a value"
    NO_DEFINED_CLASS = "no class has a value"
    ONE_PATIENT = "fewer than two patients"
    ONE_CASE = "fewer than two cases: nothing varies between them"
    NOT_ESTIMATED = "the statistic has no value for these cases"


@dataclass(frozen=True, slots=True)
class Undefined:
    """A metric that has no value, and why."""

    reason: Reason

    def __bool__(self) -> bool:
        """Refuse to be taken for a truth value: ask `isinstance(value, Undefined)`."""
        raise TypeError("an undefined metric is neither true nor false; test its type")


Value = float | Undefined


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; `level` is its nominal coverage in (0, 1)."""

    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; either may be undefined. `n` counts the cases in the denominator."""

    value: Value
    interval: Interval | Undefined
    n: int


def ratio(numerator: float, denominator: float, reason: Reason) -> Value:
    """Return numerator/denominator, or Undefined for `reason` where the denominator is 0."""
    return Undefined(reason) if denominator == 0 else float(numerator) / float(denominator)


def mean_of_defined(values: Sequence[Value]) -> Value:
    """Return the mean of those values that are defined, Undefined where none is."""
    defined = [value for value in values if not isinstance(value, Undefined)]
    return float(np.mean(defined)) if defined else Undefined(Reason.NO_DEFINED_CLASS)


def checked_level(level: float) -> float:
    """Return `level` if it lies in (0, 1).

    Raises:
        EvaluationInputError: It does not.
    """
    if not 0.0 < level < 1.0:
        raise EvaluationInputError(f"level must lie between 0 and 1, not {level}")
    return level


def checked_truth(truth: ArrayLike) -> Booleans:
    """Return binary labels as bool [n].

    Raises:
        EvaluationInputError: Not one-dimensional, or a value other than 0 and 1.
    """
    values = np.asarray(truth)
    if values.ndim != 1:
        raise EvaluationInputError(f"truth must be one-dimensional, not of shape {values.shape}")
    if values.dtype != np.bool_ and not np.isin(values, (0, 1)).all():
        raise EvaluationInputError("truth must hold only 0 and 1")
    return values.astype(np.bool_)


def checked_scores(scores: ArrayLike, n: int, *, probabilities: bool = False) -> Floats:
    """Return finite scores as float64 [n], in [0, 1] where they are probabilities.

    Raises:
        EvaluationInputError: Another length than `n`, a value that is not finite, or out of range.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (n,):
        raise EvaluationInputError(f"scores must have shape ({n},), not {values.shape}")
    if not np.isfinite(values).all():
        raise EvaluationInputError("scores must be finite; leave out the cases without a score")
    if probabilities and ((values < 0) | (values > 1)).any():
        raise EvaluationInputError("scores must be probabilities between 0 and 1")
    return values


def checked_counts(**counts: float) -> None:
    """Check that each named count is a whole number of at least 0.

    Raises:
        EvaluationInputError: One is not; the message names it.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or int(count) != count or count < 0:
            raise EvaluationInputError(f"{name} must be a whole number of at least 0, not {count}")
