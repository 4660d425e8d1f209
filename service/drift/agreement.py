"""Agreement of drafts with final reports for each finding, with intervals. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.drift.rows import MonitorRow, RowKind
from service.drift.streams import drafted_event, reported_event
from service.evaluation.agreement import cohen_kappa, gwet, ratings_of_table
from service.evaluation.proportions import wilson
from service.evaluation.values import Estimate, Interval, Undefined, Value

_DRAWS: Final = 2000
_TWO: Final = 2
# With fewer reports an interval says nothing that the counts do not.
_FEWEST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingAgreement:
    """Draft against final report for one finding.

    Attributes:
        table: Counts: both, only the draft, only the report, neither.
        observed: Share of agreement with Wilson's interval.
        kappa: Cohen's kappa.
        interval: Its 95 % interval by resampling studies; None with fewer than 20, or where it is
            undefined in more than a tenth of the draws.
        ac1: Gwet's AC1, which stays high where nearly all are negative.
    """

    observation: Observation
    table: tuple[int, int, int, int]
    observed: Estimate
    kappa: Value
    interval: Interval | None
    ac1: Value


def agreement_of(rows: Iterable[MonitorRow], *, seed: int = 0) -> list[FindingAgreement]:
    """Return the agreement for each of the six findings over rows of final reports."""
    finals = [row for row in rows if row.kind is RowKind.FINAL]
    return [_agreement(each, finals, seed) for each in CODED_OBSERVATIONS]


def _agreement(observation: Observation, rows: Sequence[MonitorRow], seed: int) -> FindingAgreement:
    drafted, reported = drafted_event(observation), reported_event(observation)
    counts = np.zeros((_TWO, _TWO), dtype=np.int64)
    for row in rows:
        if drafted in row.events and reported in row.events:
            counts[int(not row.events[drafted]), int(not row.events[reported])] += 1
    ratings = ratings_of_table(counts)
    both, only_draft, only_report, neither = (int(each) for each in counts.ravel())
    return FindingAgreement(
        observation=observation,
        table=(both, only_draft, only_report, neither),
        observed=wilson(both + neither, int(counts.sum())),
        kappa=cohen_kappa(ratings[:, 0], ratings[:, 1], _TWO),
        interval=_interval(counts.ravel(), seed),
        ac1=gwet(ratings, _TWO),
    )


def _interval(counts: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int) -> Interval | None:
    n = int(counts.sum())
    if n < _FEWEST:
        return None
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, _DRAWS) / n
    both, only_draft, only_report, neither = drawn.T
    observed = both + neither
    first, second = both + only_draft, both + only_report
    chance = first * second + (1 - first) * (1 - second)
    defined = chance < 1 - 1e-12
    if defined.mean() < 0.9:
        return None
    kappa = (observed[defined] - chance[defined]) / (1 - chance[defined])
    low, high = np.quantile(kappa, (0.025, 0.975))
    return Interval(float(low), float(high), 0.95)


def shown_kappa(each: FindingAgreement) -> str:
    """Return kappa with its interval in words."""
    if isinstance(each.kappa, Undefined):
        return f"undefined: {each.kappa.reason}"
    if each.interval is None:
        return f"{each.kappa:.2f} (too few for an interval)"
    return f"{each.kappa:.2f} ({each.interval.low:.2f} to {each.interval.high:.2f})"
