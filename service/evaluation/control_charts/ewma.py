"""EWMA charts of daily means.

z = lambda x + (1 - lambda) z over standardized daily means x, from z = 0; the chart signals where
|z| >= L sqrt(lambda/(2 - lambda)) (Roberts 1959), the limit of a chart that has run for a while.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from service.evaluation.distributions import normal_density
from service.evaluation.values import EvaluationInputError, Floats, Reason, Undefined

WEIGHT: Final = 0.2
WIDTH: Final = 3.5
DAY_CASES: Final = 20
_NODES: Final = 200

Day = TypeVar("Day")


@dataclass(frozen=True, slots=True, kw_only=True)
class EwmaDesign:
    """A chart.

    Attributes:
        weight: lambda, of the newest day, above 0 and at most 1.
        width: L, the limit in standard deviations of z.
    """

    weight: float = WEIGHT
    width: float = WIDTH

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1 or self.width <= 0:
            raise EvaluationInputError(
                f"weight must lie in 0 to 1 and width above 0, not {self.weight} and {self.width}"
            )

    @property
    def limit(self) -> float:
        """The value of |z| that signals, in standard deviations of a daily mean."""
        return self.width * sqrt(self.weight / (2 - self.weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class EwmaReference:
    """Mean and standard deviation of the daily means of the reference period."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class EwmaPath:
    """z after each day, float64 [d], and the days (indices) that signalled; z starts at 0 after each."""

    values: Floats
    alarms: tuple[int, ...]


def daily_means(
    days: Sequence[Day], values: ArrayLike, *, smallest: int = DAY_CASES
) -> list[tuple[Day, float, int]]:
    """Return (day, mean, n) of each day with at least `smallest` cases, in the given order of days.

    Raises:
        EvaluationInputError: The numbers of days and values differ, or a value is not finite.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(days),) or not np.isfinite(numbers).all():
        raise EvaluationInputError("values must be finite, one for each day given")
    by_day: dict[Day, list[float]] = {}
    for day, number in zip(days, numbers, strict=True):
        by_day.setdefault(day, []).append(float(number))
    return [
        (day, float(np.mean(each)), len(each))
        for day, each in by_day.items()
        if len(each) >= smallest
    ]


def reference_of(means: ArrayLike) -> EwmaReference | Undefined:
    """Return the reference of daily means; Undefined with fewer than two, or all equal.

    The standard deviation is that between days (n - 1), so that what always varies from day to day, as
    which room is used, does not signal.
    """
    values = np.asarray(means, dtype=np.float64)
    if values.size < 2:
        return Undefined(Reason.NO_CASES)
    deviation = float(values.std(ddof=1))
    if deviation == 0:
        return Undefined(Reason.NO_VARIANCE)
    return EwmaReference(mean=float(values.mean()), deviation=deviation)


def run_chart(design: EwmaDesign, reference: EwmaReference, means: Iterable[float]) -> EwmaPath:
    """Run a chart over daily means in the order of days."""
    values: list[float] = []
    alarms: list[int] = []
    current = 0.0
    for index, mean in enumerate(means):
        standardized = (mean - reference.mean) / reference.deviation
        current = design.weight * standardized + (1 - design.weight) * current
        values.append(current)
        if abs(current) >= design.limit:
            alarms.append(index)
            current = 0.0
    return EwmaPath(np.array(values, dtype=np.float64), tuple(alarms))


def average_run_length(design: EwmaDesign, shift: float = 0.0) -> float:
    """Return the mean number of days from z = 0 to a signal, for normal daily means.

    By the integral equation of Crowder (1987) with Gauss-Legendre nodes. With shift 0 it is the time
    between false alarms.

    Args:
        design: The chart.
        shift: Shift of the mean in standard deviations of a daily mean.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = nodes * design.limit, weights * design.limit

    def kernel(start: Floats) -> Floats:
        steps = (nodes - (1 - design.weight) * start[:, np.newaxis]) / design.weight - shift
        return normal_density(steps) * weights / design.weight

    lengths = np.linalg.solve(np.eye(_NODES) - kernel(nodes), np.ones(_NODES))
    return float(1 + (kernel(np.zeros(1)) @ lengths)[0])
