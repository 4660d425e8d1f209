"""Agreement of a judge with human raters: the mean absolute error against the others' mean.

For each rater x and pair: |x - mean of the other raters|, averaged over all pairs and raters. A judge
takes x's place and is compared with the same means. A judge is as good as a rater where its error is not
larger; it is worthless where a constant does as well.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau

from service.evaluation.values import EvaluationInputError, Floats, Reason, Undefined, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterAgreement:
    """How far raters, a judge and a constant are from the other raters' mean.

    Attributes:
        pairs: Number of rated pairs.
        raters: Number of raters of each pair.
        mean: Mean count over pairs and raters.
        zero_share: Share of single ratings that are 0.
        rater_error: Mean absolute error of a left-out rater.
        rater_tau: Kendall's tau-b of a left-out rater with the others' mean, averaged over raters.
        constant_error: The least mean absolute error that one constant count reaches.
        constant: That constant.
        judge_error: Mean absolute error of the judge; Undefined without a judge.
        judge_tau: Kendall's tau-b of the judge with the mean of all raters.
        judged: Number of pairs that the judge has a count for; its figures are of these.
        rater_error_on_judged: Mean absolute error of a left-out rater on these pairs.
    """

    pairs: int
    raters: int
    mean: float
    zero_share: float
    rater_error: float
    rater_tau: Value
    constant_error: float
    constant: float
    judge_error: Value
    judge_tau: Value
    judged: int
    rater_error_on_judged: Value


def rater_agreement(ratings: ArrayLike, judge: ArrayLike | None = None) -> RaterAgreement:
    """Return the agreement of raters, and of a judge with them.

    Args:
        ratings: Counts [n, r], one row per pair, one column per rater, at least 2 of each.
        judge: The judge's counts [n]; NaN where it gave none.

    Raises:
        EvaluationInputError: Another shape, or a rating that is not finite or below 0.
    """
    counts = _checked(ratings)
    others = _others(counts)
    constant, constant_error = _best_constant(others)
    judged, error, tau, same = _judge(counts, others, judge)
    return RaterAgreement(
        pairs=counts.shape[0],
        raters=counts.shape[1],
        mean=float(counts.mean()),
        zero_share=float((counts == 0).mean()),
        rater_error=float(np.abs(counts - others).mean()),
        rater_tau=_mean_tau(counts, others),
        constant_error=constant_error,
        constant=constant,
        judge_error=error,
        judge_tau=tau,
        judged=judged,
        rater_error_on_judged=same,
    )


def _checked(ratings: ArrayLike) -> Floats:
    counts = np.asarray(ratings, dtype=np.float64)
    if counts.ndim != 2 or min(counts.shape) < 2:
        raise EvaluationInputError(
            f"ratings must be [pairs, raters] with at least 2 of each, not {counts.shape}"
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise EvaluationInputError(
            "ratings must be numbers of at least 0, of every rater for each pair"
        )
    return counts


def _others(counts: Floats) -> Floats:
    """Return [n, r]: for each rating the mean of the other raters of its pair."""
    raters = counts.shape[1]
    return np.asarray((counts.sum(axis=1, keepdims=True) - counts) / (raters - 1), np.float64)


def _best_constant(others: Floats) -> tuple[float, float]:
    constant = float(np.median(others))
    return constant, float(np.abs(others - constant).mean())


def _judge(
    counts: Floats, others: Floats, judge: ArrayLike | None
) -> tuple[int, Value, Value, Value]:
    """Return the judged pairs, the judge's error and tau, and a rater's error on these pairs."""
    none = Undefined(Reason.NO_CASES)
    if judge is None:
        return 0, none, none, none
    given = np.asarray(judge, dtype=np.float64)
    if given.shape != (len(counts),):
        raise EvaluationInputError(f"judge must have shape ({len(counts)},), not {given.shape}")
    there = np.isfinite(given)
    if not there.any():
        return 0, none, none, none
    error = float(np.abs(given[there, np.newaxis] - others[there]).mean())
    same = float(np.abs(counts[there] - others[there]).mean())
    return int(there.sum()), error, _tau(given[there], counts[there].mean(axis=1)), same


def _mean_tau(counts: Floats, others: Floats) -> Value:
    taus = [_tau(counts[:, place], others[:, place]) for place in range(counts.shape[1])]
    defined = [tau for tau in taus if not isinstance(tau, Undefined)]
    return float(np.mean(defined)) if defined else Undefined(Reason.NO_VARIANCE)


def _tau(first: Floats, second: Floats) -> Value:
    if len(set(first)) < 2 or len(set(second)) < 2:
        return Undefined(Reason.NO_VARIANCE)
    return float(kendalltau(first, second).statistic)
