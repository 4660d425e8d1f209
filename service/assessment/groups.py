"""Subgroups: the pooled figures of each group, its difference from the rest, and a table to export."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.assessment.figures import (
    drafted_pairs,
    known_findings,
    pooled_sensitivity,
    pooled_specificity,
    together_of,
)
from service.assessment.study_rows import Attribute, StudyRow
from service.evaluation.classification import confusions, micro_f1, rates, row_counts
from service.evaluation.labels import Pairs
from service.evaluation.resampled_sums import ResampledSums, Sums
from service.evaluation.resampling import Bootstrap, Clusters, difference
from service.evaluation.subgroups import Figure, TooFew, merged_small_cells, too_few
from service.evaluation.values import Booleans, Estimate, Integers, Reason, Undefined, Value

_COLUMNS = ("attribute", "group", "finding", "studies", "positive", "tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """The figures of one subgroup, over the findings "together".

    Attributes:
        studies: Scored studies.
        positives: Those with at least one positive finding.
        f1: Micro F1; TooFew below 20 studies.
        sensitivity: Pooled; TooFew below 10 studies with a positive finding.
        specificity: Pooled; TooFew below 10 studies with a negative finding.
        from_rest: Micro F1 minus that of all other studies; TooFew where one of the two is too small.
    """

    studies: int
    positives: int
    f1: Bootstrap | TooFew
    sensitivity: Bootstrap | TooFew
    specificity: Bootstrap | TooFew
    from_rest: Bootstrap | TooFew


def groups(
    rows: Sequence[StudyRow], *, draws: int, seed: int
) -> dict[Attribute, dict[str, GroupFigures]]:
    """Return the figures of each group of each attribute that has more than one group."""
    findings = known_findings(rows)
    both = drafted_pairs(rows, findings)
    places = [findings.index(name) for name in together_of(findings)]
    counts = row_counts(both)[:, places].sum(axis=1)
    clusters = Clusters([row.patient for row in rows])
    return {
        attribute: _attribute(rows, attribute, counts, clusters, draws=draws, seed=seed)
        for attribute in Attribute
        if len({row.group(attribute) for row in rows}) > 1
    }


def _attribute(
    rows: Sequence[StudyRow],
    attribute: Attribute,
    counts: Integers,
    clusters: Clusters,
    *,
    draws: int,
    seed: int,
) -> dict[str, GroupFigures]:
    named = np.array([row.group(attribute) for row in rows])
    # One name a column: the counts of its studies, then those of the others.
    names = sorted(set(named.tolist()))
    members = np.stack([named == name for name in names], axis=1)
    inside = counts[:, np.newaxis, :] * members[:, :, np.newaxis]
    split = np.stack([inside, counts[:, np.newaxis, :] - inside], axis=2)
    sums = ResampledSums.of(split, clusters, draws=draws, seed=seed)
    return {
        name: _group(sums, place, members[:, place], counts) for place, name in enumerate(names)
    }


def _group(sums: ResampledSums, place: int, members: Booleans, counts: Integers) -> GroupFigures:
    positive = counts[:, 0] + counts[:, 2] > 0
    negative = counts[:, 1] + counts[:, 3] > 0
    n, positives = int(members.sum()), int((members & positive).sum())
    rest = int((~members).sum())
    few = too_few(Figure.RATE, positives=n, negatives=0)
    few_rest = too_few(Figure.RATE, positives=rest, negatives=0)
    few_positives = too_few(Figure.SENSITIVITY, positives=positives, negatives=0)
    negatives = int((members & negative).sum())
    few_negatives = too_few(Figure.SPECIFICITY, positives=0, negatives=negatives)

    def own(totals: Sums) -> Sums:
        return totals[place, :1]

    return GroupFigures(
        studies=n,
        positives=positives,
        f1=few or sums.bootstrap(lambda totals: micro_f1(own(totals))),
        sensitivity=few_positives or sums.bootstrap(lambda totals: pooled_sensitivity(own(totals))),
        specificity=few_negatives or sums.bootstrap(lambda totals: pooled_specificity(own(totals))),
        from_rest=few or few_rest or sums.bootstrap(lambda totals: _contrast(totals[place])),
    )


def _contrast(totals: Sums) -> Value:
    inside, outside = totals
    if inside.sum() == 0 or outside.sum() == 0:
        return Undefined(Reason.NO_CASES)
    return difference(micro_f1(inside[np.newaxis]), micro_f1(outside[np.newaxis]))


def subgroups_csv(rows: Sequence[StudyRow]) -> str:
    """Return a table of counts and rates by attribute, group and finding; small groups are merged."""
    findings = known_findings(rows)
    both = drafted_pairs(rows, findings)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        (*_COLUMNS, "sensitivity", "specificity", "ppv", "npv"),
    )
    for attribute in Attribute:
        counted = Counter(row.group(attribute) for row in rows)
        merged = merged_small_cells(counted)
        named = np.array([merged[row.group(attribute)] for row in rows])
        for name in sorted(set(merged.values())):
            writer.writerows(_lines(attribute, name, both, named == name))
    return text.getvalue()


def _lines(attribute: Attribute, name: str, both: Pairs, members: Booleans) -> list[list[str]]:
    part = Pairs(both.findings, both.truth[members], both.predicted[members], both.counted[members])
    lines = []
    for finding, counts in confusions(part).items():
        rate = rates(counts)
        positives, negatives = counts.tp + counts.fn, counts.fp + counts.tn
        sensitivity_few = too_few(Figure.SENSITIVITY, positives=positives, negatives=negatives)
        specificity_few = too_few(Figure.SPECIFICITY, positives=positives, negatives=negatives)
        few = too_few(Figure.RATE, positives=positives, negatives=negatives)
        shown = [
            _cell(rate.sensitivity, sensitivity_few),
            _cell(rate.specificity, specificity_few),
            _cell(rate.ppv, few),
            _cell(rate.npv, few),
        ]
        numbers = (positives, counts.tp, counts.fp, counts.fn, counts.tn)
        lines.append(
            [attribute.value, name, finding, str(int(members.sum())), *map(str, numbers), *shown]
        )
    return lines


def _cell(rate: Estimate, few: TooFew | None) -> str:
    if few is not None:
        return "too few"
    return "undefined" if isinstance(rate.value, Undefined) else f"{rate.value:.6f}"
