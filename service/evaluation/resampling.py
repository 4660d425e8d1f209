"""Patient-cluster bootstrap, paired differences and the swap test.

Studies of one patient resemble each other, so patients are resampled, not studies. A statistic is a
function of rows (one a study, in any array [n, ...]) to a value; a draw is `rows[indices]`. A draw in
which the statistic is undefined is counted and left out of the percentiles.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.evaluation.values import (
    LEVEL,
    EvaluationInputError,
    Integers,
    Interval,
    Reason,
    Undefined,
    Value,
    checked_level,
)

DRAWS: Final = 2000
SWAPS: Final = 10_000
# Differences closer than this are taken as equal: sums in another order differ in the last digits.
TIE: Final = 1e-12

Rows = NDArray[Any]
Statistic = Callable[[Rows], Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A statistic with its percentile interval.

    Attributes:
        value: The statistic of the cases themselves, never the median of the draws.
        interval: Percentiles of the defined draws.
        draws: Number of draws.
        undefined: In how many of them the statistic had no value.
        patients: Number of clusters that were resampled.
    """

    value: Value
    interval: Interval | Undefined
    draws: int
    undefined: int
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapTest:
    """Result of the swap test.

    Attributes:
        difference: First minus second.
        p: Two-sided p-value, (1 + k) / (swaps + 1 - undefined).
        swaps: Number of random swaps.
        undefined: In how many of them the difference had no value.
    """

    difference: Value
    p: Value
    swaps: int
    undefined: int


class Clusters:
    """The rows of each patient, patients in sorted order.

    Args:
        patients: A patient identifier a row, the study's own identifier where it is unknown.
    """

    def __init__(self, patients: Sequence[str]) -> None:
        self.ids = tuple(sorted(set(patients)))
        places = {patient: place for place, patient in enumerate(self.ids)}
        self.of_row: Integers = np.array([places[patient] for patient in patients], dtype=np.int64)
        order = np.argsort(self.of_row, kind="stable")
        self._rows = np.split(order, np.cumsum(np.bincount(self.of_row))[:-1]) if patients else []

    def __len__(self) -> int:
        return len(self.ids)

    def draws(self, count: int, seed: int) -> Iterator[Integers]:
        """Yield the row indices of each draw: as many patients as there are, with replacement."""
        generator, n = np.random.default_rng(seed), len(self)
        for _ in range(count):
            chosen = generator.integers(0, n, n)
            yield np.concatenate([self._rows[patient] for patient in chosen])

    def swaps(self, count: int, seed: int) -> Iterator[NDArray[np.bool_]]:
        """Yield bool [rows] of each swap: whether the row's patient changes sides, each with 1/2."""
        generator, n = np.random.default_rng(seed), len(self)
        for _ in range(count):
            yield generator.integers(0, 2, n).astype(np.bool_)[self.of_row]


def bootstrap(
    statistic: Statistic,
    rows: Rows,
    clusters: Clusters,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Bootstrap:
    """Return a statistic with its patient-cluster percentile interval (Efron 1979).

    The interval is Undefined with fewer than two patients, and where no draw has a value.

    Args:
        statistic: A function of rows to a value.
        rows: Array [n, ...], one row per study.
        clusters: The patients of the n rows.
        draws: Number of resamples.
        seed: Of `numpy.random.default_rng`; equal inputs and seed give equal results.
        level: Nominal coverage.

    Raises:
        EvaluationInputError: The numbers of rows and clusters differ, or draws is below 1.
    """
    _check(rows, clusters, draws)
    if len(rows) == 0:
        none = Undefined(Reason.NO_CASES)
        return Bootstrap(value=none, interval=none, draws=0, undefined=0, patients=0)
    value = statistic(rows)
    if len(clusters) < 2:
        alone = Undefined(Reason.ONE_PATIENT)
        return Bootstrap(value=value, interval=alone, draws=0, undefined=0, patients=len(clusters))
    results = [statistic(rows[indices]) for indices in clusters.draws(draws, seed)]
    defined = [result for result in results if not isinstance(result, Undefined)]
    return Bootstrap(
        value=value,
        interval=percentile_interval(defined, level),
        draws=draws,
        undefined=draws - len(defined),
        patients=len(clusters),
    )


def bootstrap_difference(
    statistic: Statistic,
    first: Rows,
    second: Rows,
    clusters: Clusters,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Bootstrap:
    """Return statistic(first) - statistic(second) of the same studies, both by the same draws.

    Raises:
        EvaluationInputError: The arrays differ in shape, or do not fit the clusters.
    """
    _check_pair(first, second)
    both = np.stack([first, second], axis=1)
    return bootstrap(
        lambda rows: difference(statistic(rows[:, 0]), statistic(rows[:, 1])),
        both,
        clusters,
        draws=draws,
        seed=seed,
        level=level,
    )


def swap_test(
    statistic: Statistic,
    first: Rows,
    second: Rows,
    clusters: Clusters,
    *,
    swaps: int = SWAPS,
    seed: int = 0,
) -> SwapTest:
    """Test whether two models have the same statistic, by exchanging them at random per patient.

    p = (1 + k) / (B + 1), k the swaps whose difference is at least as large in amount (Phipson and Smyth
    2010). Equal inputs have the difference 0 and p = 1. Swaps without a value are left out of B.

    Raises:
        EvaluationInputError: The arrays differ in shape, or do not fit the clusters.
    """
    _check_pair(first, second)
    _check(first, clusters, swaps)
    if len(first) == 0:
        none = Undefined(Reason.NO_CASES)
        return SwapTest(difference=none, p=none, swaps=0, undefined=0)
    observed = difference(statistic(first), statistic(second))
    if isinstance(observed, Undefined):
        return SwapTest(difference=observed, p=observed, swaps=0, undefined=0)
    as_large, undefined = 0, 0
    for swapped in clusters.swaps(swaps, seed):
        where = swapped.reshape((-1,) + (1,) * (first.ndim - 1))
        other = difference(
            statistic(np.where(where, second, first)), statistic(np.where(where, first, second))
        )
        if isinstance(other, Undefined):
            undefined += 1
        else:
            as_large += abs(other) >= abs(observed) - TIE
    p = (1 + as_large) / (swaps - undefined + 1)
    return SwapTest(difference=observed, p=p, swaps=swaps, undefined=undefined)


def difference(first: Value, second: Value) -> Value:
    """Return first - second, Undefined where one of them is."""
    if isinstance(first, Undefined):
        return first
    return second if isinstance(second, Undefined) else first - second


def percentile_interval(values: list[float], level: float = LEVEL) -> Interval | Undefined:
    """Return the central interval of the draws' values, Undefined where there is none.

    Raises:
        EvaluationInputError: level lies outside 0 to 1.
    """
    checked_level(level)
    if not values:
        return Undefined(Reason.NO_DEFINED_DRAW)
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high), level)


def _check(rows: Rows, clusters: Clusters, draws: int) -> None:
    if len(rows) != clusters.of_row.size:
        raise EvaluationInputError(
            f"{len(rows)} rows do not fit the patients of {clusters.of_row.size} rows"
        )
    if draws < 1:
        raise EvaluationInputError(f"draws must be at least 1, not {draws}")


def _check_pair(first: Rows, second: Rows) -> None:
    if first.shape != second.shape:
        raise EvaluationInputError(
            f"both models need the same rows, not {first.shape} and {second.shape}"
        )
