"""Confusion counts, F1 (per finding, micro, macro), and rates at a threshold with Wilson intervals."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from service.evaluation.labels import Pairs
from service.evaluation.proportions import wilson
from service.evaluation.values import (
    LEVEL,
    Booleans,
    Estimate,
    EvaluationInputError,
    Integers,
    Reason,
    Undefined,
    Value,
    checked_counts,
    mean_of_defined,
    ratio,
)

# Order of the counts in the last axis of the arrays below.
COUNTS: Final = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of one binary finding: true and false positives and negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    def __post_init__(self) -> None:
        checked_counts(tp=self.tp, fp=self.fp, fn=self.fn, tn=self.tn)

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.tp + self.fp + self.fn + self.tn

    @classmethod
    def of(cls, truth: Booleans, predicted: Booleans) -> "Confusion":
        """Count bool [n] against bool [n].

        Raises:
            EvaluationInputError: The shapes differ.
        """
        if truth.shape != predicted.shape:
            raise EvaluationInputError(
                f"truth {truth.shape} and predicted {predicted.shape} differ in shape"
            )
        tp, fp = int((truth & predicted).sum()), int((~truth & predicted).sum())
        fn = int((truth & ~predicted).sum())
        return cls(tp=tp, fp=fp, fn=fn, tn=truth.size - tp - fp - fn)


def row_counts(pairs: Pairs) -> Integers:
    """Return int64 [n, f, 4]: tp, fp, fn, tn of each study and finding, each 0 or 1.

    Summed over studies they give each figure of this module, so that resampling studies needs no labels.
    """
    truth, predicted, counted = pairs.truth, pairs.predicted, pairs.counted
    cells = (truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted)
    return np.stack([cell & counted for cell in cells], axis=-1).astype(np.int64)


def confusions(pairs: Pairs) -> dict[str, Confusion]:
    """Count each finding's pairs that count."""
    totals = row_counts(pairs).sum(axis=0)
    return {
        finding: _confusion(counts) for finding, counts in zip(pairs.findings, totals, strict=True)
    }


def _confusion(counts: Integers) -> Confusion:
    tp, fp, fn, tn = (int(count) for count in counts)
    return Confusion(tp=tp, fp=fp, fn=fn, tn=tn)


def f1(counts: Confusion) -> Value:
    """Return F1 = 2 TP / (2 TP + FP + FN) in 0 to 1 (van Rijsbergen 1979).

    Undefined where neither truth nor draft holds a positive: 0 would punish, 1 would reward a finding
    that did not occur.
    """
    return ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, Reason.EMPTY_CLASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class F1Summary:
    """F1 over a set of findings.

    Attributes:
        per_finding: F1 of each finding, Undefined for a class empty on both sides.
        micro: F1 of the pooled counts.
        macro_zero: Mean with an empty class counted as 0 (scikit-learn's zero_division=0).
        macro_defined: Mean of the defined ones.
        empty: How many classes are empty on both sides.
    """

    per_finding: dict[str, Value]
    micro: Value
    macro_zero: Value
    macro_defined: Value
    empty: int


def f1_summary(counts: dict[str, Confusion]) -> F1Summary:
    """Return F1 per finding, micro and both kinds of macro."""
    each = {finding: f1(confusion) for finding, confusion in counts.items()}
    totals = np.array([[c.tp, c.fp, c.fn, c.tn] for c in counts.values()], dtype=np.int64)
    return F1Summary(
        per_finding=each,
        micro=micro_f1(totals.reshape(-1, 4)),
        macro_zero=macro_f1(totals.reshape(-1, 4), empty_as_zero=True),
        macro_defined=mean_of_defined(list(each.values())),
        empty=sum(isinstance(value, Undefined) for value in each.values()),
    )


def micro_f1(totals: Integers) -> Value:
    """Return F1 of the pooled counts; totals int [f, 4] in the order of `COUNTS`."""
    tp, fp, fn, _ = (int(count) for count in totals.sum(axis=0))
    return ratio(2 * tp, 2 * tp + fp + fn, Reason.EMPTY_CLASS)


def macro_f1(totals: Integers, *, empty_as_zero: bool = False) -> Value:
    """Return the mean F1 over findings; totals int [f, 4] in the order of `COUNTS`.

    Args:
        totals: tp, fp, fn, tn by finding.
        empty_as_zero: Whether a class empty on both sides counts as 0 (scikit-learn's zero_division=0)
            or is left out.
    """
    if len(totals) == 0:
        return Undefined(Reason.NO_DEFINED_CLASS)
    double = 2 * totals[:, 0]
    below = double + totals[:, 1] + totals[:, 2]
    if empty_as_zero:
        return float(np.mean(double / np.maximum(below, 1)))
    kept = below > 0
    if not kept.any():
        return Undefined(Reason.NO_DEFINED_CLASS)
    return float(np.mean(double[kept] / below[kept]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Rates at one operating point, each 0 to 1 with Wilson's interval.

    PPV and NPV hold only for the share of positives in these cases.
    """

    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    prevalence: Estimate


def rates(counts: Confusion, *, level: float = LEVEL) -> Rates:
    """Return sensitivity, specificity, PPV, NPV and the share of positives.

    A rate whose denominator is 0 is Undefined with its reason.
    """
    tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
    return Rates(
        sensitivity=wilson(tp, tp + fn, level=level, reason=Reason.NO_POSITIVES),
        specificity=wilson(tn, tn + fp, level=level, reason=Reason.NO_NEGATIVES),
        ppv=wilson(tp, tp + fp, level=level, reason=Reason.NO_CALLED_POSITIVE),
        npv=wilson(tn, tn + fn, level=level, reason=Reason.NO_CALLED_NEGATIVE),
        prevalence=wilson(tp + fn, counts.n, level=level),
    )


def called(scores: ArrayLike, *, threshold: float = 0.5) -> Booleans:
    """Return bool [n]: whether each score reaches the threshold, which is set before the data are seen.

    Raises:
        EvaluationInputError: A score is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise EvaluationInputError("scores must be finite; leave out the cases without a score")
    return values >= threshold
