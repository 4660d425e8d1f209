"""Bootstrap and swap test of many statistics at once, for statistics of sums over studies.

Counts, and so F1, BLEU and means, are functions of column sums. The sums of all draws are one product of
matrices; the draws are those of `resampling`, so that the intervals equal those of `bootstrap`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.evaluation.resampling import (
    DRAWS,
    SWAPS,
    TIE,
    Bootstrap,
    Clusters,
    SwapTest,
    difference,
    percentile_interval,
)
from service.evaluation.values import LEVEL, Floats, Reason, Undefined, Value

Sums = NDArray[Any]
StatisticOfSums = Callable[[Sums], Value]
_BLOCK: Final = 256  # draws whose weights are in memory at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResampledSums:
    """Column sums of the studies, and of each draw.

    Attributes:
        observed: float64 [...], the sums over all studies.
        drawn: float64 [draws, ...]; empty with fewer than two patients.
        patients: Number of clusters.
        studies: Number of rows.
    """

    observed: Floats
    drawn: Floats
    patients: int
    studies: int

    @classmethod
    def of(
        cls, rows: Sums, clusters: Clusters, *, draws: int = DRAWS, seed: int = 0
    ) -> "ResampledSums":
        """Sum the rows [n, ...] of each draw of patients."""
        sums = _by_patient(rows, clusters)
        count = draws if len(clusters) > 1 else 0
        drawn = np.empty((count, *rows.shape[1:]))
        generator, n = np.random.default_rng(seed), len(clusters)
        for start, size in _blocks(count):
            weights = np.stack(
                [np.bincount(generator.integers(0, n, n), minlength=n) for _ in range(size)]
            )
            drawn[start : start + size] = (weights @ sums).reshape(size, *rows.shape[1:])
        return cls(
            observed=sums.sum(axis=0).reshape(rows.shape[1:]),
            drawn=drawn,
            patients=n,
            studies=len(rows),
        )

    def bootstrap(self, statistic: StatisticOfSums, *, level: float = LEVEL) -> Bootstrap:
        """Return a statistic of the sums with its percentile interval; see `resampling.bootstrap`."""
        if self.studies == 0:
            none = Undefined(Reason.NO_CASES)
            return Bootstrap(value=none, interval=none, draws=0, undefined=0, patients=0)
        value = statistic(self.observed)
        if self.patients < 2:
            alone = Undefined(Reason.ONE_PATIENT)
            return Bootstrap(value=value, interval=alone, draws=0, undefined=0, patients=1)
        results = [statistic(sums) for sums in self.drawn]
        defined = [result for result in results if not isinstance(result, Undefined)]
        return Bootstrap(
            value=value,
            interval=percentile_interval(defined, level),
            draws=len(results),
            undefined=len(results) - len(defined),
            patients=self.patients,
        )


class SwappedSums:
    """Sums of two models on the same studies, exchanged at random per patient; see `swap_test`."""

    def __init__(
        self, first: Sums, second: Sums, clusters: Clusters, *, swaps: int = SWAPS, seed: int = 0
    ) -> None:
        """Sum both models' rows [n, ...] of each exchange."""
        shape = first.shape[1:]
        here, there = _by_patient(first, clusters), _by_patient(second, clusters)
        self._first, self._second = here.sum(axis=0), there.sum(axis=0)
        moved = np.empty((swaps, here.shape[1]))
        generator, n = np.random.default_rng(seed), len(clusters)
        for start, size in _blocks(swaps):
            sides = np.stack([generator.integers(0, 2, n) for _ in range(size)])
            moved[start : start + size] = sides @ (there - here)
        self._moved, self._shape, self._studies = moved, shape, len(first)

    def test(self, statistic: StatisticOfSums) -> SwapTest:
        """Return the test whether both models have the same statistic."""
        if self._studies == 0:
            none = Undefined(Reason.NO_CASES)
            return SwapTest(difference=none, p=none, swaps=0, undefined=0)
        observed = self._difference(statistic, self._first, self._second)
        if isinstance(observed, Undefined):
            return SwapTest(difference=observed, p=observed, swaps=0, undefined=0)
        as_large, undefined, swaps = 0, 0, len(self._moved)
        for moved in self._moved:
            other = self._difference(statistic, self._first + moved, self._second - moved)
            if isinstance(other, Undefined):
                undefined += 1
            else:
                as_large += abs(other) >= abs(observed) - TIE
        p = (1 + as_large) / (swaps - undefined + 1)
        return SwapTest(difference=observed, p=p, swaps=swaps, undefined=undefined)

    def _difference(self, statistic: StatisticOfSums, first: Floats, second: Floats) -> Value:
        return difference(
            statistic(first.reshape(self._shape)), statistic(second.reshape(self._shape))
        )


def _by_patient(rows: Sums, clusters: Clusters) -> Floats:
    """Return float64 [patients, k]: the sums of each patient's rows."""
    width = int(np.prod(rows.shape[1:]))
    flat = rows.reshape(len(rows), width).astype(np.float64)
    sums = np.zeros((len(clusters), flat.shape[1]))
    np.add.at(sums, clusters.of_row, flat)
    return sums


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _BLOCK):
        yield start, min(_BLOCK, count - start)
