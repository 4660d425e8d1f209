"""Calibration of scores that are meant as probabilities: Brier, ECE, regression, reliability bins."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy  # its sub-packages are imported when they are used, not at every start
from numpy.typing import ArrayLike

from service.evaluation.proportions import wilson
from service.evaluation.values import (
    LEVEL,
    Booleans,
    Estimate,
    EvaluationInputError,
    Floats,
    Integers,
    Reason,
    Undefined,
    Value,
    checked_scores,
    checked_truth,
)

BINS: Final = 10
# A score of exactly 0 or 1 has no logit: it is moved this far inside, and counted.
LOGIT_MARGIN: Final = 1e-6
_NEWTON_STEPS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Cases whose score lies in [low, high), in the last bin [low, high].

    Attributes:
        low: Left edge.
        high: Right edge.
        mean_score: Mean score of its cases, Undefined where it is empty.
        observed: Share of positives with Wilson's interval and n.
    """

    low: float
    high: float
    mean_score: Value
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLine:
    """Logistic regression of the truth on logit(score).

    Attributes:
        slope: 1 is ideal; below 1 the scores are too extreme.
        intercept: 0 is ideal; below 0 the scores are too high.
        clipped: How many scores were 0 or 1 and were moved inside by `LOGIT_MARGIN`.
    """

    slope: Value
    intercept: Value
    clipped: int


def brier(truth: ArrayLike, scores: ArrayLike) -> Value:
    """Return the mean squared difference of score and truth, 0 to 1 (Brier 1950), lower is better.

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels, values = _checked(truth, scores)
    if labels.size == 0:
        return Undefined(Reason.NO_CASES)
    return float(np.mean((values - labels) ** 2))


def expected_calibration_error(truth: ArrayLike, scores: ArrayLike, *, bins: int = BINS) -> Value:
    """Return ECE = sum over bins of (n_b / n) |share of positives - mean score| (Naeini 2015), 0 to 1.

    Equal bins over 0 to 1; a score on an inner edge lies in the bin to its right, 1 in the last. ECE
    grows with the number of bins and shrinks with n: compare it only between equal n and bins.

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels, values = _checked(truth, scores)
    if labels.size == 0:
        return Undefined(Reason.NO_CASES)
    place = _bin_of(values, bins)
    positives = np.bincount(place, weights=labels, minlength=bins)
    total = np.bincount(place, weights=values, minlength=bins)
    return float(np.abs(positives - total).sum() / labels.size)


def reliability_bins(
    truth: ArrayLike, scores: ArrayLike, *, bins: int = BINS, level: float = LEVEL
) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram, from low to high.

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels, values = _checked(truth, scores)
    place = _bin_of(values, bins)
    return tuple(
        _reliability_bin(labels[place == number], values[place == number], number, bins, level)
        for number in range(bins)
    )


def _reliability_bin(
    labels: Booleans, values: Floats, number: int, bins: int, level: float
) -> ReliabilityBin:
    mean = float(values.mean()) if values.size else Undefined(Reason.NO_CASES)
    return ReliabilityBin(
        low=number / bins,
        high=(number + 1) / bins,
        mean_score=mean,
        observed=wilson(int(labels.sum()), labels.size, level=level),
    )


def calibration_line(truth: ArrayLike, scores: ArrayLike) -> CalibrationLine:
    """Return slope and intercept of a logistic regression on logit(score) (Cox 1958).

    Undefined where a class is empty, all scores are equal, or the scores separate the classes, as there
    is no finite maximum of the likelihood then (Albert and Anderson 1984).

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels, values = _checked(truth, scores)
    inside = np.clip(values, LOGIT_MARGIN, 1 - LOGIT_MARGIN)
    clipped = int((inside != values).sum())
    fault = _regression_fault(labels, inside)
    if fault is not None:
        return CalibrationLine(slope=fault, intercept=fault, clipped=clipped)
    intercept, slope = _logistic(scipy.special.logit(inside), labels)
    return CalibrationLine(slope=slope, intercept=intercept, clipped=clipped)


def _regression_fault(labels: Booleans, values: Floats) -> Undefined | None:
    if labels.size == 0:
        return Undefined(Reason.NO_CASES)
    if not labels.any():
        return Undefined(Reason.NO_POSITIVES)
    if labels.all():
        return Undefined(Reason.NO_NEGATIVES)
    if values.min() == values.max():
        return Undefined(Reason.NO_VARIANCE)
    positive, negative = values[labels], values[~labels]
    overlap = positive.min() < negative.max() and negative.min() < positive.max()
    return None if overlap else Undefined(Reason.SEPARATED)


def _logistic(x: Floats, labels: Booleans) -> tuple[float, float]:
    """Maximize the likelihood by Newton's method, halving steps that lower it.

    Args:
        x: float64 [n], the predictor.
        labels: bool [n], overlapping classes, so that a finite maximum exists.

    Returns:
        Intercept and slope.
    """
    # Standardized, the Hessian is well conditioned for scores close together.
    center, scale = float(x.mean()), float(x.std())
    design = np.column_stack([np.ones_like(x), (x - center) / scale])
    weights = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        fitted = scipy.special.expit(design @ weights)
        gradient = design.T @ (labels - fitted)
        hessian = (design * (fitted * (1 - fitted))[:, np.newaxis]).T @ design
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        before = _log_likelihood(design @ weights, labels)
        while (
            _log_likelihood(design @ (weights + step), labels) < before
            and np.abs(step).max() > 1e-12
        ):
            step = step / 2
        weights = weights + step
        if np.abs(step).max() < 1e-12:
            break
    slope = float(weights[1]) / scale
    return float(weights[0]) - slope * center, slope


def _log_likelihood(linear: Floats, labels: Booleans) -> float:
    return float(np.sum(labels * linear - np.logaddexp(0.0, linear)))


def _bin_of(values: Floats, bins: int) -> Integers:
    """Return int [n]: the number of the equal bin of each score in [0, 1].

    By comparison with the edges, not by multiplication: 0.3 * 10 and 3 / 10 round differently.
    """
    if bins < 1:
        raise EvaluationInputError(f"bins must be at least 1, not {bins}")
    inner_edges = np.arange(1, bins) / bins
    return np.searchsorted(inner_edges, values, side="right").astype(np.int64)


def _checked(truth: ArrayLike, scores: ArrayLike) -> tuple[Booleans, Floats]:
    labels = checked_truth(truth)
    return labels, checked_scores(scores, labels.size, probabilities=True)
