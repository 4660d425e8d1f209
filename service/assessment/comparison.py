"""Two evaluations set against each other: paired on the same studies, side by side on two sites'.

The first is this evaluation, the second the other one; a positive difference says that the first is
better. Both are judged by the truth of the first where the studies are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from service.assessment.figures import (
    drafted_pairs,
    known_findings,
    one_f1,
    pooled_sensitivity,
    pooled_specificity,
    scored_pairs,
    together_of,
)
from service.assessment.study_rows import StudyRow, with_truth_of
from service.evaluation.classification import (
    Rates,
    confusions,
    macro_f1,
    micro_f1,
    rates,
    row_counts,
)
from service.evaluation.labels import Pairs
from service.evaluation.paired import McNemar, holm, mcnemar_of
from service.evaluation.resampled_sums import ResampledSums, StatisticOfSums, SwappedSums
from service.evaluation.resampling import (
    SWAPS,
    Bootstrap,
    Clusters,
    SwapTest,
    difference,
    percentile_interval,
)
from service.evaluation.roc import AurocDifference, compare_aurocs
from service.evaluation.values import Reason, Undefined, Value, ratio

ALPHA: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One figure of both, its difference with a paired interval, and the swap test."""

    first: Value
    second: Value
    difference: Bootstrap
    test: SwapTest


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingContrast:
    """One finding on the same studies.

    Attributes:
        right: McNemar's test of right or wrong.
        right_p_holm: Its exact p-value, adjusted for all findings.
        f1_p_holm: The p-value of the F1's swap test, adjusted for all findings.
        auroc: None where one of the two has no scores.
    """

    f1: Contrast
    right: McNemar
    right_p_holm: Value
    f1_p_holm: Value
    auroc: AurocDifference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two evaluations of the same studies.

    Attributes:
        name: Of the second.
        common: Studies scored in both.
        only_first: Studies scored in the first only.
        only_second: Studies scored in the second only.
        together: "micro F1", "macro F1", "sensitivity", "specificity".
        rouge_l: Difference of the mean ROUGE-L; None without texts in both.
        better: Findings in which the first is right more often, adjusted p below 0.05.
        worse: Findings in which it is right less often.
    """

    name: str
    common: int
    only_first: int
    only_second: int
    together: dict[str, Contrast]
    findings: dict[str, FindingContrast]
    rouge_l: Bootstrap | None
    better: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteContrast:
    """One figure at two sites.

    Attributes:
        first: F1 at the first site.
        second: F1 at the second.
        difference: First minus second, both sites resampled independently.
        first_rates: None for several findings together.
        second_rates: The same of the second site.
    """

    first: Bootstrap
    second: Bootstrap
    difference: Bootstrap
    first_rates: Rates | None = None
    second_rates: Rates | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteComparison:
    """Two evaluations of different studies: two sites, or two periods.

    Attributes:
        name: Of the second.
        together: Micro F1 over the findings of both.
    """

    name: str
    first_studies: int
    second_studies: int
    together: SiteContrast
    findings: dict[str, SiteContrast]


_TOGETHER: Final[dict[str, StatisticOfSums]] = {
    "micro F1": micro_f1,
    "macro F1": macro_f1,
    "sensitivity": pooled_sensitivity,
    "specificity": pooled_specificity,
}


def comparison(
    first: Sequence[StudyRow],
    second: Sequence[StudyRow],
    name: str,
    *,
    draws: int,
    seed: int,
    swaps: int = SWAPS,
) -> PairedComparison | SiteComparison:
    """Compare scored rows: paired where studies are in both, else as two sites."""
    others = {row.id: row for row in second}
    common = [row for row in first if row.id in others]
    if not common:
        return _sites(first, second, name, draws=draws, seed=seed)
    again = [with_truth_of(others[row.id], row) for row in common]
    found = known_findings(common)
    both = drafted_pairs(common, found), drafted_pairs(again, found)
    clusters = Clusters([row.patient for row in common])
    stacked = np.stack([row_counts(both[0]), row_counts(both[1])], axis=1)
    sums = ResampledSums.of(stacked, clusters, draws=draws, seed=seed)
    swapped = SwappedSums(stacked[:, 0], stacked[:, 1], clusters, swaps=swaps, seed=seed)
    findings = _findings(common, again, both, sums, swapped)
    places = [found.index(each) for each in together_of(found)]
    return PairedComparison(
        name=name,
        common=len(common),
        only_first=len(first) - len(common),
        only_second=len(second) - len(common),
        together={
            label: _contrast(sums, swapped, _of_places(of, places))
            for label, of in _TOGETHER.items()
        },
        findings=findings,
        rouge_l=_rouge(common, again, draws=draws, seed=seed),
        better=tuple(_clear(findings, better=True)),
        worse=tuple(_clear(findings, better=False)),
    )


def _of_places(statistic: StatisticOfSums, places: list[int]) -> StatisticOfSums:
    """Return the statistic of some of the findings."""
    return lambda totals: statistic(totals[places])


def _contrast(sums: ResampledSums, swapped: SwappedSums, statistic: StatisticOfSums) -> Contrast:
    first, second = sums.observed
    return Contrast(
        first=statistic(first),
        second=statistic(second),
        difference=sums.bootstrap(lambda both: difference(statistic(both[0]), statistic(both[1]))),
        test=swapped.test(statistic),
    )


def _findings(
    first: Sequence[StudyRow],
    second: Sequence[StudyRow],
    both: tuple[Pairs, Pairs],
    sums: ResampledSums,
    swapped: SwappedSums,
) -> dict[str, FindingContrast]:
    names = both[0].findings
    f1s = [_contrast(sums, swapped, partial(one_f1, place=place)) for place in range(len(names))]
    tests = [_right(both, place) for place in range(len(names))]
    right_ps = holm([test.exact_p for test in tests])
    f1_ps = holm([each.test.p for each in f1s])
    return {
        name: FindingContrast(
            f1=f1s[place],
            right=tests[place],
            right_p_holm=right_ps[place],
            f1_p_holm=f1_ps[place],
            auroc=_auroc(first, second, name),
        )
        for place, name in enumerate(names)
    }


def _right(both: tuple[Pairs, Pairs], place: int) -> McNemar:
    counted = both[0].counted[:, place]
    first, second = ((each.truth[:, place] == each.predicted[:, place])[counted] for each in both)
    return mcnemar_of(first, second)


def _auroc(
    first: Sequence[StudyRow], second: Sequence[StudyRow], name: str
) -> AurocDifference | None:
    pairs = [
        (here, there)
        for here, there in zip(first, second, strict=True)
        if name in here.scores and name in there.scores
    ]
    truth, scores = scored_pairs([here for here, _ in pairs], name)
    _, others = scored_pairs([there for _, there in pairs], name)
    return compare_aurocs(truth, scores, others) if truth.size else None


def _rouge(
    first: Sequence[StudyRow], second: Sequence[StudyRow], *, draws: int, seed: int
) -> Bootstrap | None:
    used = [
        (here.patient, here.rouge_l - there.rouge_l, 1.0)
        for here, there in zip(first, second, strict=True)
        if here.rouge_l is not None and there.rouge_l is not None
    ]
    if not used:
        return None
    rows = np.array([each[1:] for each in used])
    clusters = Clusters([each[0] for each in used])
    return ResampledSums.of(rows, clusters, draws=draws, seed=seed).bootstrap(
        lambda totals: ratio(float(totals[0]), float(totals[1]), Reason.NO_CASES)
    )


def _clear(findings: dict[str, FindingContrast], *, better: bool) -> list[str]:
    return [
        name
        for name, each in findings.items()
        if not isinstance(each.right_p_holm, Undefined)
        and each.right_p_holm < ALPHA
        and (each.right.only_first > each.right.only_second) == better
    ]


def _sites(
    first: Sequence[StudyRow], second: Sequence[StudyRow], name: str, *, draws: int, seed: int
) -> SiteComparison:
    names = tuple(one for one in known_findings(first) if one in known_findings(second))
    pairs = drafted_pairs(first, names), drafted_pairs(second, names)
    # Two sites are independent: the second is drawn by the next seed.
    here, there = (
        ResampledSums.of(
            row_counts(both), Clusters([row.patient for row in rows]), draws=draws, seed=number
        )
        for both, rows, number in zip(pairs, (first, second), (seed, seed + 1), strict=True)
    )
    counts = [confusions(both) for both in pairs]
    places = [names.index(one) for one in together_of(names)]
    return SiteComparison(
        name=name,
        first_studies=len(first),
        second_studies=len(second),
        together=_site_contrast(here, there, lambda totals: micro_f1(totals[places])),
        findings={
            one: replace(
                _site_contrast(here, there, partial(one_f1, place=place)),
                first_rates=rates(counts[0][one]),
                second_rates=rates(counts[1][one]),
            )
            for place, one in enumerate(names)
        },
    )


def _site_contrast(
    here: ResampledSums, there: ResampledSums, statistic: StatisticOfSums
) -> SiteContrast:
    first, second = here.bootstrap(statistic), there.bootstrap(statistic)
    drawn = [
        difference(statistic(one), statistic(other))
        for one, other in zip(here.drawn, there.drawn, strict=False)
    ]
    defined = [each for each in drawn if not isinstance(each, Undefined)]
    return SiteContrast(
        first=first,
        second=second,
        difference=Bootstrap(
            value=difference(first.value, second.value),
            interval=percentile_interval(defined),
            draws=len(drawn),
            undefined=len(drawn) - len(defined),
            patients=here.patients + there.patients,
        ),
    )
