"""Agreement of readers: Cohen's and Fleiss' kappa, Gwet's AC1 and AC2.

Ratings come as integers [n, r]: n cases, r readers, categories 0 to q - 1; `MISSING` where a reader did
not rate a case. Kappa falls towards 0 where nearly all cases are of one category although the readers
agree; AC1 does not, so the two stand side by side.
"""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from service.evaluation.values import (
    EvaluationInputError,
    Floats,
    Integers,
    Reason,
    Undefined,
    Value,
)

MISSING: Final = -1


class Weights(StrEnum):
    """What a disagreement of ordered categories i and j counts, of q categories.

    NOMINAL: 0. LINEAR: 1 - |i - j|/(q - 1). QUADRATIC: 1 - (i - j)^2/(q - 1)^2.
    """

    NOMINAL = "nominal"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


def observed_agreement(
    ratings: ArrayLike, categories: int, *, weights: Weights = Weights.NOMINAL
) -> Value:
    """Return the mean share of agreeing pairs of readers, 0 to 1, over cases rated at least twice.

    Raises:
        EvaluationInputError: Ratings or categories are not usable.
    """
    return _observed(_category_counts(ratings, categories), _weight_matrix(categories, weights))


def gwet(ratings: ArrayLike, categories: int, *, weights: Weights = Weights.NOMINAL) -> Value:
    """Return Gwet's AC1 (nominal) or AC2 (weighted), at most 1 (Gwet 2008, 2014).

    pe = (sum of weights) * (sum of pi (1 - pi)) / (q (q - 1)), pi the share of a category.
    Undefined where no case was rated twice.

    Args:
        ratings: int [n, r], categories from 0; `MISSING` where not rated.
        categories: q, at least 2; categories that were not used count as well.
        weights: For AC2 linear or quadratic.

    Raises:
        EvaluationInputError: Ratings or categories are not usable.
    """
    counts, matrix = _category_counts(ratings, categories), _weight_matrix(categories, weights)
    observed = _observed(counts, matrix)
    if isinstance(observed, Undefined):
        return observed
    rated = counts[counts.sum(axis=1) > 0]
    shares = (rated / rated.sum(axis=1, keepdims=True)).mean(axis=0)
    chance = matrix.sum() * float((shares * (1 - shares)).sum()) / (categories * (categories - 1))
    return (observed - float(chance)) / (1 - float(chance))


def fleiss_kappa(ratings: ArrayLike, categories: int) -> Value:
    """Return Fleiss' kappa, at most 1 (Fleiss 1971), over cases that all readers rated.

    Undefined where no case was rated twice, or where all ratings are of one category.

    Raises:
        EvaluationInputError: Ratings or categories are not usable.
    """
    counts = _category_counts(ratings, categories)
    readers = np.asarray(ratings).shape[1]
    complete = counts[counts.sum(axis=1) == readers]
    observed = _observed(complete, _weight_matrix(categories, Weights.NOMINAL))
    if isinstance(observed, Undefined):
        return observed
    shares = complete.sum(axis=0) / complete.sum()
    return _chance_corrected(observed, float((shares**2).sum()))


def cohen_kappa(
    first: ArrayLike, second: ArrayLike, categories: int, *, weights: Weights = Weights.NOMINAL
) -> Value:
    """Return Cohen's kappa of two readers, -1 to 1 (Cohen 1960; weighted: Cohen 1968).

    Cases that one of them did not rate are left out. Undefined without cases, or where chance agreement
    is 1.

    Raises:
        EvaluationInputError: Ratings or categories are not usable.
    """
    both = np.stack([_whole(first), _whole(second)], axis=1)
    both = both[(both != MISSING).all(axis=1)]
    _check_range(both, categories)
    if len(both) == 0:
        return Undefined(Reason.NO_CASES)
    table = np.zeros((categories, categories))
    np.add.at(table, (both[:, 0], both[:, 1]), 1 / len(both))
    matrix = _weight_matrix(categories, weights)
    chance = float(table.sum(axis=1) @ matrix @ table.sum(axis=0))
    return _chance_corrected(float((matrix * table).sum()), chance)


def ratings_of_table(table: ArrayLike) -> Integers:
    """Return ratings int [n, 2] of a cross table int [q, q], rows the first reader."""
    counts = _whole(table)
    rows, columns = np.indices(counts.shape)
    places = np.column_stack([rows.ravel(), columns.ravel()])
    repeated = np.repeat(places, counts.ravel(), axis=0)
    return np.asarray(repeated, dtype=np.int64)


def _chance_corrected(observed: float, chance: float) -> Value:
    # Rounding: shares of one category can sum to 1 - 1e-16.
    if 1 - chance < 1e-12:
        return Undefined(Reason.ONE_CATEGORY)
    return (observed - chance) / (1 - chance)


def _observed(counts: Integers, matrix: Floats) -> Value:
    """Return weighted agreement of counts [n, q] over cases rated at least twice."""
    totals = counts.sum(axis=1)
    counts, totals = counts[totals >= 2], totals[totals >= 2]
    if len(counts) == 0:
        return Undefined(Reason.ONE_RATER)
    agreeing = (counts * (counts @ matrix - 1)).sum(axis=1) / (totals * (totals - 1))
    return float(agreeing.mean())


def _weight_matrix(categories: int, weights: Weights) -> Floats:
    if weights is Weights.NOMINAL:
        return np.eye(categories)
    places = np.arange(categories)
    distance = np.abs(places[:, np.newaxis] - places) / (categories - 1)
    return np.asarray(1 - (distance if weights is Weights.LINEAR else distance**2), np.float64)


def _category_counts(ratings: ArrayLike, categories: int) -> Integers:
    """Return int [n, q]: how many readers chose each category for each case."""
    values = _whole(ratings)
    if values.ndim != 2:
        raise EvaluationInputError(f"ratings must be [cases, readers], not of shape {values.shape}")
    _check_range(values, categories)
    chosen = values[:, :, np.newaxis] == np.arange(categories)
    return np.asarray(chosen.sum(axis=1), dtype=np.int64)


def _check_range(values: Integers, categories: int) -> None:
    if categories < 2:
        raise EvaluationInputError(f"categories must be at least 2, not {categories}")
    if values.size and (values.min() < MISSING or values.max() >= categories):
        raise EvaluationInputError(f"ratings must lie between 0 and {categories - 1}, or be -1")


def _whole(values: ArrayLike) -> Integers:
    array = np.asarray(values)
    if array.size and not np.equal(np.mod(array, 1), 0).all():
        raise EvaluationInputError("ratings must be whole numbers")
    return np.asarray(array, dtype=np.int64)
