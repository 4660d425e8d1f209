"""Subgroups: which figures their size allows, how small cells are merged, and how they differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from service.evaluation.resampling import (
    DRAWS,
    Bootstrap,
    Clusters,
    Rows,
    Statistic,
    bootstrap,
    difference,
)
from service.evaluation.values import (
    Booleans,
    EvaluationInputError,
    Reason,
    Undefined,
    Value,
    checked_counts,
)

RATE_CASES: Final = 20
CLASS_CASES: Final = 10
CELL_CASES: Final = 5
MERGED: Final = "other (merged)"
UNKNOWN: Final = "unknown"
# Upper bounds in whole years, exclusive.
_AGE_BANDS: Final = ((18, "<18"), (40, "18-39"), (60, "40-59"), (80, "60-79"))


class Figure(StrEnum):
    """A kind of figure, which needs so many cases in a subgroup."""

    RATE = "rate"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    RANKING = "AUROC or calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFew:
    """A figure that is not shown, as its subgroup is too small.

    Attributes:
        n: Cases that it has.
        needed: Cases that it needs.
        of: Which cases these are.
    """

    n: int
    needed: int
    of: str


def too_few(figure: Figure, *, positives: int, negatives: int) -> TooFew | None:
    """Return why a subgroup of so many cases is too small for a figure, None where it is large enough.

    A rate needs 20 cases, sensitivity 10 positives, specificity 10 negatives, AUROC and calibration
    10 of each class.

    Raises:
        EvaluationInputError: A count is negative.
    """
    checked_counts(positives=positives, negatives=negatives)
    if figure is Figure.RATE:
        needs = [(positives + negatives, RATE_CASES, "cases")]
    elif figure is Figure.SENSITIVITY:
        needs = [(positives, CLASS_CASES, "positive cases")]
    elif figure is Figure.SPECIFICITY:
        needs = [(negatives, CLASS_CASES, "negative cases")]
    else:
        needs = [
            (positives, CLASS_CASES, "positive cases"),
            (negatives, CLASS_CASES, "negative cases"),
        ]
    for n, needed, of in needs:
        if n < needed:
            return TooFew(n=n, needed=needed, of=of)
    return None


def age_band(years: float | None) -> str:
    """Return the band of an age in years: <18, 18-39, 40-59, 60-79, >=80, or unknown.

    Raises:
        EvaluationInputError: The age is negative or not finite.
    """
    if years is None:
        return UNKNOWN
    if not 0 <= years < np.inf:
        raise EvaluationInputError(f"age must be a number of at least 0, not {years}")
    return next((band for bound, band in _AGE_BANDS if years < bound), ">=80")


def merged_small_cells(counts: Mapping[str, int], *, smallest: int = CELL_CASES) -> dict[str, str]:
    """Return which name each cell has in an export: its own, or `MERGED` for small cells.

    A cell below `smallest` is merged. Where the merged cells together are still below it, as one cell
    alone always is (the total would disclose it), the next smallest joins them. Empty cells disclose
    no person and keep their names.

    Raises:
        EvaluationInputError: A count is negative.
    """
    checked_counts(**{f"count {place}": count for place, count in enumerate(counts.values())})
    by_size = sorted((count, name) for name, count in counts.items() if count > 0)
    merged = [(count, name) for count, name in by_size if count < smallest]
    rest = by_size[len(merged) :]
    while merged and rest and sum(n for n, _ in merged) < smallest:
        merged.append(rest.pop(0))
    names = {name for _, name in merged}
    return {name: MERGED if name in names else name for name in counts}


def difference_from_rest(
    statistic: Statistic,
    rows: Rows,
    members: Booleans,
    clusters: Clusters,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Bootstrap:
    """Return statistic(subgroup) - statistic(all others) with its patient-cluster interval.

    Args:
        statistic: A function of rows to a value.
        rows: Array [n, ...], one row per study.
        members: bool [n], true for the studies of the subgroup.
        clusters: The patients of the n rows.
        draws: Number of resamples.
        seed: Of the random generator.

    Raises:
        EvaluationInputError: The shapes do not fit.
    """
    if members.shape != (len(rows),):
        raise EvaluationInputError(f"members must have shape ({len(rows)},), not {members.shape}")

    def contrast(indices: Rows) -> Value:
        inside = members[indices]
        if not inside.any() or inside.all():
            return Undefined(Reason.NO_CASES)
        return difference(statistic(rows[indices[inside]]), statistic(rows[indices[~inside]]))

    return bootstrap(contrast, np.arange(len(rows)), clusters, draws=draws, seed=seed)
