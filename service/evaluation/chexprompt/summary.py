"""The figures of judged pairs: mean, interval, share without errors; what was not judged, and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.evaluation.chexprompt.prompt import ErrorType
from service.evaluation.chexprompt.reply import Counts, Form, Rating, Unparsable
from service.evaluation.resampling import DRAWS, Bootstrap, Clusters, Rows, bootstrap
from service.evaluation.values import (
    Estimate,
    EvaluationInputError,
    Floats,
    Reason,
    Undefined,
    Value,
    ratio,
)

# Above this share of unparsable replies the parsed ones are no fair sample: there is no headline.
MAX_UNPARSABLE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Judged:
    """One pair and what became of it.

    Attributes:
        id: The pair.
        patient: Whose study it is; the id where unknown.
        outcome: Its counts, or why there are none; None where there was no draft to judge.
    """

    id: str
    patient: str
    outcome: Rating | Unparsable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one sum of counts over the parsed pairs.

    Attributes:
        mean: Errors a report with its bootstrap interval, patients resampled.
        deviation: Standard deviation over reports (n - 1).
        without: Share of reports with no such error.
        by_type: Mean errors a report of each type.
    """

    mean: Bootstrap
    deviation: Value
    without: Bootstrap
    by_type: dict[ErrorType, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All figures of one run of a judge; pairs = parsed + the unparsable + no_draft.

    Attributes:
        pairs: Pairs in the input.
        parsed: Pairs with counts.
        unparsable: Number of pairs by reason.
        no_draft: Pairs with an empty draft, which were not sent.
        tolerant: Parsed replies that deviated from the requested layout.
        unparsable_share: Of the pairs that were to be judged.
        headline: Mean total errors a report; None where too many replies were unparsable.
    """

    pairs: int
    parsed: int
    unparsable: dict[Unparsable, int]
    no_draft: int
    tolerant: int
    unparsable_share: Value
    headline: Estimate | None
    total: Figures
    significant: Figures
    insignificant: Figures


def summary(judged: Sequence[Judged], *, draws: int = DRAWS, seed: int = 0) -> Summary:
    """Return the figures of judged pairs.

    Raises:
        EvaluationInputError: An id occurs twice.
    """
    if len({each.id for each in judged}) != len(judged):
        raise EvaluationInputError("an id occurs twice among the judged pairs")
    rated = [(each, each.outcome) for each in judged if isinstance(each.outcome, Rating)]
    failed = Counter(each.outcome for each in judged if isinstance(each.outcome, Unparsable))
    share = ratio(failed.total(), failed.total() + len(rated), Reason.NO_CASES)
    patients = [each.patient for each, _ in rated]
    significant = _matrix([rating.significant for _, rating in rated])
    insignificant = _matrix([rating.insignificant for _, rating in rated])
    total = _figures(significant + insignificant, patients, draws, seed)
    return Summary(
        pairs=len(judged),
        parsed=len(rated),
        unparsable={reason: failed[reason] for reason in Unparsable},
        no_draft=sum(each.outcome is None for each in judged),
        tolerant=sum(rating.form is Form.TOLERANT for _, rating in rated),
        unparsable_share=share,
        headline=_headline(share, total.mean, len(rated)),
        total=total,
        significant=_figures(significant, patients, draws, seed),
        insignificant=_figures(insignificant, patients, draws, seed),
    )


def _headline(share: Value, mean: Bootstrap, n: int) -> Estimate | None:
    if isinstance(share, Undefined) or share > MAX_UNPARSABLE:
        return None
    return Estimate(mean.value, mean.interval, n)


def _figures(counts: Floats, patients: list[str], draws: int, seed: int) -> Figures:
    """Return the figures of counts float64 [n, 6], one row per report."""
    sums, clusters = counts.sum(axis=1), Clusters(patients)
    few = Undefined(Reason.NO_CASES)
    return Figures(
        mean=bootstrap(_mean, sums, clusters, draws=draws, seed=seed),
        deviation=float(np.std(sums, ddof=1)) if len(sums) > 1 else few,
        without=bootstrap(_mean, (sums == 0).astype(np.float64), clusters, draws=draws, seed=seed),
        by_type={each: _mean(counts[:, place]) for place, each in enumerate(ErrorType)},
    )


def _mean(rows: Rows) -> Value:
    return float(np.mean(rows)) if len(rows) else Undefined(Reason.NO_CASES)


def _matrix(counts: Sequence[Counts]) -> Floats:
    """Return float64 [n, 6]."""
    rows = [[each[kind] for kind in ErrorType] for each in counts]
    return np.array(rows, dtype=np.float64).reshape(len(counts), len(ErrorType))
