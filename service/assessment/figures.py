"""The figures of an evaluation: of each finding, of all together, of the published sets and policies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.assessment.study_rows import FINDINGS, StudyRow
from service.evaluation.calibration import (
    CalibrationLine,
    ReliabilityBin,
    brier,
    calibration_line,
    expected_calibration_error,
    reliability_bins,
)
from service.evaluation.classification import (
    Confusion,
    Rates,
    confusions,
    macro_f1,
    micro_f1,
    rates,
    row_counts,
)
from service.evaluation.labels import (
    DEFINITE_PAIRS,
    FIVE,
    FOURTEEN,
    POSITIVE_ONLY,
    SIX,
    UNCERTAIN_POSITIVE,
    Label,
    LabelTable,
    Pairs,
    Policy,
    pairs,
)
from service.evaluation.proportions import wilson
from service.evaluation.resampled_sums import ResampledSums, Sums
from service.evaluation.resampling import Bootstrap, Clusters
from service.evaluation.roc import Auroc, RocCurve, auroc, roc_curve
from service.evaluation.sample_size import detectable_drop, size_for_width
from service.evaluation.values import (
    Booleans,
    Estimate,
    Floats,
    Integers,
    Reason,
    Undefined,
    Value,
    ratio,
)

SETS: Final = {"5": FIVE, "6": SIX, "14": FOURTEEN}
POLICIES: Final = {
    "definite pairs": DEFINITE_PAIRS,
    "positive only": POSITIVE_ONLY,
    "uncertain as positive": UNCERTAIN_POSITIVE,
}
# An interval of +-10 points at 80 %: with fewer positive studies no figure supports a claim.
ENOUGH_POSITIVES: Final = size_for_width(0.8, 0.1)
_SIDES: Final = frozenset({"left", "right", "bilateral"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFigures:
    """What the model's own probabilities of a finding are worth.

    Attributes:
        n: Studies with a score and a definite truth.
    """

    n: int
    auroc: Auroc
    brier: Value
    expected_calibration_error: Value
    line: CalibrationLine
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFigures:
    """The figures of one finding.

    Attributes:
        counts: The pairs that count.
        coverage: Share of the scored studies with a definite truth.
        right_side: Of the studies in which truth and draft state a side of the present finding, the
            share in which it is the same.
        detectable_drop: The smallest drop of the sensitivity that so many positive studies could have
            shown (one-sided 5 %, power 80 %).
        scores: None where the model gives no score.
    """

    counts: Confusion
    coverage: Value
    f1: Bootstrap
    rates: Rates
    right_side: Estimate
    detectable_drop: Value
    scores: ScoreFigures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFigures:
    """F1 over a set of findings under one policy.

    Attributes:
        pairs: Number of pairs that count.
        coverage: Their share of all pairs.
        empty: Findings without a positive in truth or drafts.
    """

    micro: Bootstrap
    macro_defined: Bootstrap
    macro_zero: Bootstrap
    pairs: int
    coverage: Value
    empty: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of labels and scores.

    Attributes:
        findings: By finding, those for which the truth says something.
        together: Over `together_of`, the draft's silence taken as negative.
        sensitivity: Of all findings of `together_of` pooled; by patient bootstrap.
        published: By set and policy; only sets for which the truth has every finding.
        too_few: The findings with fewer than `ENOUGH_POSITIVES` positive studies.
    """

    studies: int
    patients: int
    findings: dict[str, FindingFigures]
    together_of: tuple[str, ...]
    together: SetFigures
    sensitivity: Bootstrap
    specificity: Bootstrap
    published: dict[str, dict[str, SetFigures]]
    too_few: tuple[str, ...]


def figures(rows: Sequence[StudyRow], *, draws: int, seed: int) -> Figures:
    """Compute the figures of scored rows, in the order of their ids."""
    clusters = Clusters([row.patient for row in rows])
    findings = known_findings(rows)
    both = drafted_pairs(rows, findings)
    sums = ResampledSums.of(row_counts(both), clusters, draws=draws, seed=seed)
    together = together_of(findings)
    places = [findings.index(name) for name in together]
    counted = confusions(both)
    return Figures(
        studies=len(rows),
        patients=len(clusters),
        findings={
            name: _finding(rows, name, counted[name], sums, place)
            for place, name in enumerate(findings)
        },
        together_of=together,
        together=_set(sums, places, both),
        sensitivity=sums.bootstrap(lambda totals: pooled_sensitivity(totals[places])),
        specificity=sums.bootstrap(lambda totals: pooled_specificity(totals[places])),
        published=_published(rows, findings, clusters, draws=draws, seed=seed),
        too_few=tuple(
            name for name, each in counted.items() if each.tp + each.fn < ENOUGH_POSITIVES
        ),
    )


def known_findings(rows: Sequence[StudyRow]) -> tuple[str, ...]:
    """Return the findings of which the truth of a study says something definite."""
    definite = {Label.POSITIVE, Label.NEGATIVE}
    return tuple(name for name in FINDINGS if any(row.truth.get(name) in definite for row in rows))


def together_of(findings: Sequence[str]) -> tuple[str, ...]:
    """Return the findings of the figures "together": those of the six, or else all but "no finding"."""
    return tuple(name for name in findings if name in SIX) or tuple(
        name for name in findings if name != "no finding"
    )


def label_tables(
    rows: Sequence[StudyRow], findings: Sequence[str]
) -> tuple[LabelTable, LabelTable]:
    """Return the tables of truth and drafts."""
    truth = LabelTable.from_rows({row.id: row.truth for row in rows}, findings)
    return truth, LabelTable.from_rows({row.id: row.predicted for row in rows}, findings)


def drafted_pairs(rows: Sequence[StudyRow], findings: Sequence[str]) -> Pairs:
    """Return the pairs of definite truths; a draft that does not state a finding counts as negative.

    A reader of the draft takes its silence, and a mere possibility, for no statement that the finding is
    present. The truth is different: what it does not say is not known, and the pair is left out.
    """
    truth, predicted = label_tables(rows, findings)
    stated = np.where(predicted.values == Label.POSITIVE, Label.POSITIVE, Label.NEGATIVE)
    return pairs(
        truth, LabelTable(predicted.ids, predicted.findings, stated.astype(np.int8)), DEFINITE_PAIRS
    )


def pooled_sensitivity(totals: Sums) -> Value:
    """Return the sensitivity of the pooled counts; totals [f, 4] in the order of `COUNTS`."""
    tp, _, fn, _ = totals.sum(axis=0)
    return ratio(tp, tp + fn, Reason.NO_POSITIVES)


def pooled_specificity(totals: Sums) -> Value:
    """Return the specificity of the pooled counts; totals [f, 4] in the order of `COUNTS`."""
    _, fp, _, tn = totals.sum(axis=0)
    return ratio(tn, tn + fp, Reason.NO_NEGATIVES)


def one_f1(totals: Sums, place: int) -> Value:
    """Return F1 of one finding; totals [f, 4]."""
    return micro_f1(totals[place : place + 1])


def _finding(
    rows: Sequence[StudyRow], name: str, counts: Confusion, sums: ResampledSums, place: int
) -> FindingFigures:
    rate = rates(counts)
    expected, positives = rate.sensitivity.value, counts.tp + counts.fn
    drop: Value = Undefined(Reason.NOT_ESTIMATED)
    if not isinstance(expected, Undefined) and 0 < expected < 1:
        drop = detectable_drop(positives, expected)
    return FindingFigures(
        counts=counts,
        coverage=ratio(counts.n, len(rows), Reason.NO_CASES),
        f1=sums.bootstrap(lambda totals: one_f1(totals, place)),
        rates=rate,
        right_side=_right_side(rows, name),
        detectable_drop=drop,
        scores=_scores(rows, name),
    )


def _right_side(rows: Sequence[StudyRow], name: str) -> Estimate:
    both = [
        row.detail(name)
        for row in rows
        if row.truth.get(name) is Label.POSITIVE and row.predicted.get(name) is Label.POSITIVE
    ]
    stated = [one for one in both if {one.truth_side, one.draft_side} <= _SIDES]
    return wilson(sum(one.truth_side == one.draft_side for one in stated), len(stated))


def _scores(rows: Sequence[StudyRow], name: str) -> ScoreFigures | None:
    truth, scores = scored_pairs(rows, name)
    if not truth.size:
        return None
    return ScoreFigures(
        n=truth.size,
        auroc=auroc(truth, scores),
        brier=brier(truth, scores),
        expected_calibration_error=expected_calibration_error(truth, scores),
        line=calibration_line(truth, scores),
        bins=reliability_bins(truth, scores),
    )


def scored_pairs(rows: Sequence[StudyRow], name: str) -> tuple[Booleans, Floats]:
    """Return truth and score, bool [n] and float64 [n], of the studies that have both."""
    used = [
        row
        for row in rows
        if name in row.scores and row.truth.get(name) in (Label.POSITIVE, Label.NEGATIVE)
    ]
    truth = np.array([row.truth[name] is Label.POSITIVE for row in used], dtype=np.bool_)
    return truth, np.array([row.scores[name] for row in used], dtype=np.float64)


def roc_curves(rows: Sequence[StudyRow]) -> dict[str, RocCurve]:
    """Return the ROC curve of each finding that has one."""
    curves = {name: roc_curve(*scored_pairs(rows, name)) for name in known_findings(rows)}
    return {name: curve for name, curve in curves.items() if isinstance(curve, RocCurve)}


def _set(sums: ResampledSums, places: list[int], both: Pairs) -> SetFigures:
    counted: Integers = both.counted[:, places].astype(np.int64)
    totals = sums.observed[places]
    return SetFigures(
        micro=sums.bootstrap(lambda drawn: micro_f1(drawn[places])),
        macro_defined=sums.bootstrap(lambda drawn: macro_f1(drawn[places])),
        macro_zero=sums.bootstrap(lambda drawn: macro_f1(drawn[places], empty_as_zero=True)),
        pairs=int(counted.sum()),
        coverage=ratio(int(counted.sum()), counted.size, Reason.NO_CASES),
        empty=int((totals[:, :3].sum(axis=1) == 0).sum()),
    )


def _published(
    rows: Sequence[StudyRow],
    findings: Sequence[str],
    clusters: Clusters,
    *,
    draws: int,
    seed: int,
) -> dict[str, dict[str, SetFigures]]:
    whole = {label: names for label, names in SETS.items() if set(names) <= set(findings)}
    result: dict[str, dict[str, SetFigures]] = {label: {} for label in whole}
    for policy_name, policy in POLICIES.items():
        both = _policy_pairs(rows, findings, policy)
        sums = ResampledSums.of(row_counts(both), clusters, draws=draws, seed=seed)
        for label, names in whole.items():
            places = [findings.index(name) for name in names]
            result[label][policy_name] = _set(sums, places, both)
    return result


def _policy_pairs(rows: Sequence[StudyRow], findings: Sequence[str], policy: Policy) -> Pairs:
    truth, predicted = label_tables(rows, findings)
    return pairs(truth, predicted, policy)
