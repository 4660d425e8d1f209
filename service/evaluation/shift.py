"""Whether a window of studies is distributed as the reference: PSI, chi-square, Kolmogorov-Smirnov.

Each test has a limit that depends on both sizes. The usual fixed limits of PSI (0.1 and 0.2) must not be
used: without any drift a third of windows of 100 studies pass 0.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Final

import numpy as np
import scipy  # its sub-packages are imported when they are used, not at every start
from numpy.typing import ArrayLike

from service.evaluation.distributions import chi_square_limit
from service.evaluation.stability import FALSE_ALARM, checked_sample, decile_edges, psi, psi_limit
from service.evaluation.values import (
    Integers,
    Reason,
    Undefined,
    Value,
    checked_counts,
)

SMALLEST_EXPECTED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A comparison of a window with the reference.

    Attributes:
        statistic: PSI, chi-square or the largest distance of the distribution functions.
        limit: What it exceeds with the stated probability without any drift.
        window: Number of studies in the window.
        reference: Number of studies in the reference.
    """

    statistic: Value
    limit: Value
    window: int
    reference: int

    @property
    def exceeded(self) -> bool:
        """Whether there is a statistic and it is above the limit."""
        return (
            not isinstance(self.statistic, Undefined)
            and not isinstance(self.limit, Undefined)
            and self.statistic > self.limit
        )


def population_stability(
    reference: ArrayLike, window: ArrayLike, *, false_alarm: float = FALSE_ALARM
) -> Shift:
    """Compare by PSI = sum (a - b) ln(a/b) over the reference's deciles, 1/2 added to each bin's count.

    Limit: chi-square quantile at bins - 1 degrees of freedom times (1/n + 1/m) (Yurdakul 2018). A value
    on an edge lies in the bin to its right.

    Undefined where the window or the reference is empty, or the reference has one value only.

    Raises:
        EvaluationInputError: A value is not finite.
    """
    before, after = checked_sample(reference, "reference"), checked_sample(window, "window")
    if before.size == 0 or after.size == 0:
        return _undefined(Reason.NO_CASES, before.size, after.size)
    edges = decile_edges(before)
    if edges.size == 0:
        return _undefined(Reason.NO_VARIANCE, before.size, after.size)
    bins = edges.size + 1
    expected = np.bincount(np.searchsorted(edges, before, side="right"), minlength=bins)
    found = np.bincount(np.searchsorted(edges, after, side="right"), minlength=bins)
    return Shift(
        statistic=psi(expected, found),
        limit=psi_limit(bins, after.size, before.size, false_alarm=false_alarm),
        window=int(after.size),
        reference=int(before.size),
    )


def category_shift(
    reference: Mapping[str, int], window: Mapping[str, int], *, false_alarm: float = FALSE_ALARM
) -> Shift:
    """Compare counts of categories by the chi-square test of homogeneity (Pearson 1900).

    Categories with an expected count below 5 in either row are merged into one. Undefined where a row is
    empty or fewer than two categories remain. A category that the reference lacks (a new device) is news
    by itself, whatever this test says: `new_categories`.

    Raises:
        EvaluationInputError: A count is negative.
    """
    names = sorted(set(reference) | set(window))
    table = np.array([[row.get(name, 0) for name in names] for row in (reference, window)])
    checked_counts(**{f"count {place}": count for place, count in enumerate(table.ravel())})
    sizes = table.sum(axis=1) if names else np.zeros(2, dtype=np.int64)
    before, after = int(sizes[0]), int(sizes[1])
    if before == 0 or after == 0:
        return _undefined(Reason.NO_CASES, before, after)
    merged = _merged(table)
    if merged.shape[1] < 2:
        return _undefined(Reason.ONE_CATEGORY, before, after)
    expected = np.outer(merged.sum(axis=1), merged.sum(axis=0)) / merged.sum()
    return Shift(
        statistic=float(((merged - expected) ** 2 / expected).sum()),
        limit=chi_square_limit(false_alarm, merged.shape[1] - 1),
        window=after,
        reference=before,
    )


def new_categories(reference: Mapping[str, int], window: Mapping[str, int]) -> tuple[str, ...]:
    """Return the window's categories that the reference lacks, sorted."""
    return tuple(
        sorted(name for name, n in window.items() if n > 0 and reference.get(name, 0) == 0)
    )


def distribution_shift(
    reference: ArrayLike, window: ArrayLike, *, false_alarm: float = FALSE_ALARM
) -> Shift:
    """Compare two samples by the largest distance of their distribution functions (Kolmogorov-Smirnov).

    Limit: sqrt(-ln(false_alarm/2)/2) sqrt((n + m)/(n m)) (Smirnov 1948); with ties it is conservative.
    Undefined where a sample is empty.

    Raises:
        EvaluationInputError: A value is not finite.
    """
    before, after = checked_sample(reference, "reference"), checked_sample(window, "window")
    if before.size == 0 or after.size == 0:
        return _undefined(Reason.NO_CASES, before.size, after.size)
    return Shift(
        statistic=float(scipy.stats.ks_2samp(before, after, method="asymp").statistic),
        limit=distance_limit(after.size, before.size, false_alarm=false_alarm),
        window=int(after.size),
        reference=int(before.size),
    )


def distance_limit(n: int, m: int, *, false_alarm: float = FALSE_ALARM) -> float:
    """Return the limit of the Kolmogorov-Smirnov distance of n values against m."""
    return sqrt(-log(false_alarm / 2) / 2) * sqrt((n + m) / (n * m))


def _merged(table: Integers) -> Integers:
    """Merge the columns of int [2, k] whose expected count is below 5 in either row.

    Where the merged column is still too small, the smallest of the others joins it.
    """
    share = table.sum(axis=1) / table.sum()
    # The smaller row decides.
    order = np.argsort(table.sum(axis=0), kind="stable")
    columns = table[:, order]
    expected = columns.sum(axis=0) * share.min()
    small = int((expected < SMALLEST_EXPECTED).sum())
    while 0 < small < columns.shape[1] and expected[:small].sum() < SMALLEST_EXPECTED:
        small += 1
    if small == 0:
        return columns
    return np.column_stack([columns[:, :small].sum(axis=1), columns[:, small:]])


def _undefined(reason: Reason, reference: int, window: int) -> Shift:
    none = Undefined(reason)
    return Shift(statistic=none, limit=none, window=int(window), reference=int(reference))
