"""Figures of decisions: acceptability, edits, agreement and rejections, in groups. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any, Final

import numpy as np

from service.evaluation.clustered import counted_proportion
from service.evaluation.proportions import wilson
from service.evaluation.values import Estimate, Integers, Undefined
from service.review.words import Acceptability, FindingVerdict, Rejection, Verdict

# "Success rate in autonomous reporting" of the paper on CXR-LLaVA; its abstract has no more on it.
PUBLISHED_ACCEPTABILITY: Final = 0.727
PUBLISHED_WORDS: Final = (
    "Published for CXR-LLaVA v2: 72.7 % of drafts and 84.0 % of reference reports acceptable, on an "
    "external set of the authors. Here the person who signs the report rates the draft, knows that it "
    "is one, and may have been influenced by it; the images are the site's own."
)


class Grouping(StrEnum):
    """By what decisions are grouped."""

    ALL = "all"
    FINDING = "finding"  # observations that the draft states as present or uncertain
    READER = "reader"
    DEVICE = "device"
    MODEL = "model"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFacts:
    """What the figures need of a decision that stands; no text.

    Attributes:
        share: Edit distance over the words of the longer text; None where both are empty.
        verdicts: The person's verdict by observation, as far as the decision shows one.
    """

    at: datetime
    reader: str
    device: str
    model: str
    verdict: Verdict
    rejection: Rejection | None
    acceptability: Acceptability | None
    distance: int
    share: float | None
    sentences: int
    kept: int
    seconds: float
    positive: tuple[str, ...]
    verdicts: Mapping[str, FindingVerdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one group of decisions.

    Attributes:
        name: The finding, reader, device, model or month; "all" for all.
        verdicts: How many were accepted, edited and rejected.
        steps: How many were rated with each step of acceptability.
        acceptable: Share of steps 1 and 2 among the rated ones, with Wilson's interval.
        unchanged: Share of the decisions that took the draft over unchanged.
        agreement: Share of agreement among the judged findings, with the interval by decisions; of one
            finding, of that finding only, with Wilson's.
        added: How many findings persons added; of one finding, of that finding only.
        kept_sentences: Share of the drafts' sentences that stand in the reports, reports only.
        median_distance: Median of the changed words, reports only; None without any.
        median_share: Median of the changed share of the words, reports only.
        median_seconds: Median of the seconds looked.
        rejections: How often each reason was given.
    """

    name: str
    n: int
    verdicts: dict[str, int]
    steps: dict[int, int]
    acceptable: Estimate
    unchanged: Estimate
    agreement: Estimate
    added: int
    kept_sentences: float | None
    median_distance: float | None
    median_share: float | None
    median_seconds: float | None
    rejections: dict[str, int]


def figures_by(facts: Sequence[DecisionFacts], grouping: Grouping) -> list[Figures]:
    """Return the figures of each group, sorted by name; months in their order."""
    groups: dict[str, list[DecisionFacts]] = {}
    for each in facts:
        for name in _NAMES[grouping](each):
            groups.setdefault(name, []).append(each)
    finding = grouping is Grouping.FINDING
    return [_figures(name, groups[name], only=name if finding else None) for name in sorted(groups)]


_NAMES: Final[dict[Grouping, Callable[[DecisionFacts], tuple[str, ...]]]] = {
    Grouping.ALL: lambda _: (Grouping.ALL.value,),
    Grouping.FINDING: lambda each: each.positive,
    Grouping.READER: lambda each: (each.reader,),
    Grouping.DEVICE: lambda each: (each.device,),
    Grouping.MODEL: lambda each: (each.model,),
    Grouping.MONTH: lambda each: (month_of(each.at),),
}


def month_of(at: datetime) -> str:
    """Return the month of a time in the site's time zone, YYYY-MM."""
    return f"{at.astimezone():%Y-%m}"


def _figures(name: str, facts: Sequence[DecisionFacts], *, only: str | None) -> Figures:
    steps = Counter(each.acceptability for each in facts if each.acceptability is not None)
    acceptable = sum(count for step, count in steps.items() if step.is_acceptable)
    verdicts = Counter(each.verdict for each in facts)
    judged = [_judged(each, only) for each in facts]
    agreed = [each[FindingVerdict.AGREE] for each in judged]
    rated = [
        each[FindingVerdict.DISAGREE] + right for each, right in zip(judged, agreed, strict=True)
    ]
    reports = [each for each in facts if each.verdict.makes_report]
    sentences = sum(each.sentences for each in reports)
    rejections = Counter(each.rejection for each in facts if each.rejection is not None)
    return Figures(
        name=name,
        n=len(facts),
        verdicts={verdict.value: verdicts[verdict] for verdict in Verdict},
        steps={step.value: steps[step] for step in Acceptability},
        acceptable=wilson(acceptable, steps.total()),
        unchanged=wilson(verdicts[Verdict.ACCEPT], len(facts)),
        agreement=agreement(agreed, rated, is_of_one_finding=only is not None),
        added=sum(each[FindingVerdict.ADD] for each in judged),
        kept_sentences=sum(each.kept for each in reports) / sentences if sentences else None,
        median_distance=_median(each.distance for each in reports),
        median_share=_median(each.share for each in reports if each.share is not None),
        median_seconds=_median(each.seconds for each in facts),
        rejections={reason.value: rejections[reason] for reason in Rejection},
    )


def _judged(facts: DecisionFacts, only: str | None) -> Counter[FindingVerdict]:
    return Counter(verdict for name, verdict in facts.verdicts.items() if only in (None, name))


def agreement(
    agreed: Sequence[int] | Integers, judged: Sequence[int] | Integers, *, is_of_one_finding: bool
) -> Estimate:
    """Return the share of agreement from the counts of each decision.

    Judgments of the findings of one report are not independent: the interval is by decisions. Of one
    finding each decision has at most one judgment.
    """
    if is_of_one_finding:
        return wilson(int(np.sum(agreed)), int(np.sum(judged)))
    return counted_proportion(agreed, judged)


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(median(found)) if found else None


def figures_json(figures: Figures) -> dict[str, Any]:
    """Return the figures of a group as JSON types; null for a figure that has no value."""
    return {
        "name": figures.name,
        "n": figures.n,
        "verdicts": figures.verdicts,
        "acceptability_steps": {str(step): count for step, count in figures.steps.items()},
        "acceptable": estimate_json(figures.acceptable),
        "unchanged": estimate_json(figures.unchanged),
        "agreement": estimate_json(figures.agreement),
        "added": figures.added,
        "kept_sentences": figures.kept_sentences,
        "median_distance": figures.median_distance,
        "median_share": figures.median_share,
        "median_seconds": figures.median_seconds,
        "rejections": figures.rejections,
    }


def estimate_json(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON types."""
    interval = estimate.interval
    bounds = None if isinstance(interval, Undefined) else [interval.low, interval.high]
    value = None if isinstance(estimate.value, Undefined) else estimate.value
    return {"value": value, "interval": bounds, "n": estimate.n}
