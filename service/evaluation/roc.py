"""AUROC by midranks with DeLong's variance, its interval, and the paired comparison of two models."""

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
import scipy  # its sub-packages are imported when they are used, not at every start
from numpy.typing import ArrayLike

from service.evaluation.distributions import normal_quantile, two_sided_normal_p
from service.evaluation.values import (
    LEVEL,
    Booleans,
    Floats,
    Interval,
    Reason,
    Undefined,
    Value,
    checked_level,
    checked_scores,
    checked_truth,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auroc:
    """Area under the ROC curve.

    Attributes:
        value: 0 to 1; the probability that a positive case scores above a negative one, ties half.
        standard_error: DeLong's; Undefined with fewer than two cases of a class.
        interval: On the logit scale, so that it stays inside (0, 1).
        positives: Number of positive cases.
        negatives: Number of negative cases.
    """

    value: Value
    standard_error: Value
    interval: Interval | Undefined
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AurocDifference:
    """Two models on the same cases.

    Attributes:
        difference: First minus second, -1 to 1.
        z: Difference over its standard error.
        p: Two-sided p-value.
    """

    difference: Value
    z: Value
    p: Value


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Points of the curve, from (0, 0) to (1, 1).

    Attributes:
        false_positive_rate: float64 [k], 0 to 1, rising.
        true_positive_rate: float64 [k], 0 to 1, rising.
        thresholds: float64 [k], falling; a case is called from its threshold on; the first is +inf.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    thresholds: Floats


def auroc(truth: ArrayLike, scores: ArrayLike, *, level: float = LEVEL) -> Auroc:
    """Return the AUROC with DeLong's standard error (DeLong 1988, by midranks: Sun and Xu 2014).

    Args:
        truth: 0 or 1 [n].
        scores: Finite [n]; only their order counts.
        level: Nominal coverage of the interval.

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels = checked_truth(truth)
    values = checked_scores(scores, labels.size)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    missing = _missing_class(positives, negatives)
    if missing is not None:
        return Auroc(
            value=missing,
            standard_error=missing,
            interval=missing,
            positives=positives,
            negatives=negatives,
        )
    areas, covariance = _delong(labels, values[np.newaxis])
    area = float(areas[0])
    error: Value = Undefined(Reason.ONE_PER_CLASS)
    if covariance is not None:
        error = sqrt(max(float(covariance[0, 0]), 0.0))
    return Auroc(
        value=area,
        standard_error=error,
        interval=_logit_interval(area, error, checked_level(level)),
        positives=positives,
        negatives=negatives,
    )


def compare_aurocs(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> AurocDifference:
    """Test whether two models have the same AUROC on the same cases (DeLong 1988, paired z).

    z and p are Undefined where the difference has no variance (equal rankings) or a class has fewer than
    two cases.

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels = checked_truth(truth)
    values = np.stack([checked_scores(first, labels.size), checked_scores(second, labels.size)])
    missing = _missing_class(int(labels.sum()), int((~labels).sum()))
    if missing is not None:
        return AurocDifference(difference=missing, z=missing, p=missing)
    areas, covariance = _delong(labels, values)
    difference = float(areas[0] - areas[1])
    if covariance is None:
        reason = Undefined(Reason.ONE_PER_CLASS)
        return AurocDifference(difference=difference, z=reason, p=reason)
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ covariance @ contrast)
    if variance <= 1e-15:
        reason = Undefined(Reason.NO_VARIANCE)
        return AurocDifference(difference=difference, z=reason, p=reason)
    z = difference / sqrt(variance)
    return AurocDifference(difference=difference, z=z, p=two_sided_normal_p(z))


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> RocCurve | Undefined:
    """Return the ROC curve, one point a distinct score; Undefined where a class is empty.

    Raises:
        EvaluationInputError: Shapes or values are not usable.
    """
    labels = checked_truth(truth)
    values = checked_scores(scores, labels.size)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    missing = _missing_class(positives, negatives)
    if missing is not None:
        return missing
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)
    true_positives = np.cumsum(hits)[last]
    false_positives = last + 1 - true_positives
    return RocCurve(
        np.concatenate(([0.0], false_positives / negatives)),
        np.concatenate(([0.0], true_positives / positives)),
        np.concatenate(([np.inf], ranked[last])),
    )


def _missing_class(positives: int, negatives: int) -> Undefined | None:
    if positives == 0 and negatives == 0:
        return Undefined(Reason.NO_CASES)
    if positives == 0:
        return Undefined(Reason.NO_POSITIVES)
    return Undefined(Reason.NO_NEGATIVES) if negatives == 0 else None


def _delong(labels: Booleans, scores: Floats) -> tuple[Floats, Floats | None]:
    """Return the areas [k] of k models and their covariance [k, k], None with one case of a class.

    Args:
        labels: bool [n], both classes present.
        scores: float64 [k, n].
    """
    m, n = int(labels.sum()), int((~labels).sum())
    within_positives = scipy.stats.rankdata(scores[:, labels], axis=1)
    within_negatives = scipy.stats.rankdata(scores[:, ~labels], axis=1)
    overall = scipy.stats.rankdata(scores, axis=1)
    # Structural components: each case's share of the other class that it outranks.
    of_positives = (overall[:, labels] - within_positives) / n
    of_negatives = 1.0 - (overall[:, ~labels] - within_negatives) / m
    areas: Floats = of_positives.mean(axis=1)
    if m < 2 or n < 2:
        return areas, None
    return areas, np.atleast_2d(np.cov(of_positives)) / m + np.atleast_2d(np.cov(of_negatives)) / n


def _logit_interval(area: float, error: Value, level: float) -> Interval | Undefined:
    """Return the interval of logit(area) with the delta method's variance, turned back."""
    if isinstance(error, Undefined):
        return error
    if not 0.0 < area < 1.0:
        return Undefined(Reason.AT_BOUNDARY)
    center = log(area / (1 - area))
    half = normal_quantile(0.5 + level / 2) * error / (area * (1 - area))
    return Interval(_expit(center - half), _expit(center + half), level)


def _expit(value: float) -> float:
    if value >= 0:
        return 1 / (1 + exp(-value))
    return exp(value) / (1 + exp(value))
