"""The analysis of a closed reader study. Pure.

Success is class A or B at the first rating of a text; repeated items count for the agreement of a
reader with herself or himself only. Intervals are by cases: ratings of one case are not independent.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from service.evaluation.agreement import MISSING, Weights, gwet
from service.evaluation.clustered import (
    ClusteredEstimate,
    clustered_difference,
    clustered_proportion,
)
from service.evaluation.distributions import binomial_cumulative
from service.evaluation.proportions import wilson
from service.evaluation.resampling import Clusters, Rows
from service.evaluation.sample_size import pairs_for_non_inferiority
from service.evaluation.values import Estimate, Interval, Reason, Undefined, Value
from service.reader_study.study import RatedItem
from service.reader_study.words import Arm, Author, Rating

_RATINGS: Final = list(Rating)
# A two-sided interval of 90 % has the lower bound of a one-sided test at 5 %.
ONE_SIDED_LEVEL: Final = 0.9
_USUAL_DISCORDANT: Final = 0.3
_WRITER: Final = {Arm.DRAFT: Author.SOFTWARE, Arm.REFERENCE: Author.RADIOLOGIST}


class NonInferiority(StrEnum):
    """What the study says about the drafts against the reference reports."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"
    NOT_ESTIMATED = "not estimated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    """The figures of one arm.

    Attributes:
        counts: First ratings by class.
        success: Share of A and B, with the interval by cases.
        significant: Marked significant errors a rating.
        insignificant: Marked other errors a rating.
        ac2_linear: Agreement of the readers (Gwet), linear weights.
        ac2_quadratic: The same with quadratic weights.
    """

    arm: Arm
    n: int
    counts: Mapping[Rating, int]
    success: ClusteredEstimate
    significant: Value
    insignificant: Value
    ac2_linear: Value
    ac2_quadratic: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Drafts against reference reports, by pairs of one reader and one case.

    Attributes:
        pairs: Pairs in which both arms were rated.
        difference: Success of drafts minus success of reference reports, with its 95 % interval.
        lower: The bound of the one-sided test at 5 %.
        needed: Pairs that show non-inferiority with a power of 80 % if the arms are equal and 30 % of
            the pairs differ.
    """

    pairs: int
    margin: float
    difference: ClusteredEstimate
    lower: Value
    verdict: NonInferiority
    needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatFigures:
    """How far readers agree with their own first rating."""

    n: int
    equal: Estimate
    ac2_linear: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindingFigures:
    """Whether readers knew who wrote the texts.

    Attributes:
        n: First guesses of an author; "cannot tell" is counted in `unsure`.
        correct: Share that is right, chance is one half.
        p: Two-sided exact p-value against chance, guesses taken as independent.
    """

    n: int
    unsure: int
    correct: Estimate
    p: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderFigures:
    """The figures of one reader."""

    reader: str
    n: int
    success: Mapping[Arm, Estimate]
    blinding: BlindingFigures
    repeats: RepeatFigures
    median_seconds: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The results of a closed reader study.

    Attributes:
        missing: Items without a rating.
    """

    rated: int
    missing: int
    arms: Sequence[ArmFigures]
    comparison: Comparison
    repeats: RepeatFigures
    blinding: BlindingFigures
    readers: Sequence[ReaderFigures]


@dataclass(frozen=True, slots=True)
class _First:
    """A first rating."""

    item: RatedItem
    rating: Rating


def analysis_of(items: Sequence[RatedItem], *, margin: float) -> Analysis:
    """Return the results of a closed study.

    Args:
        items: Every item of every reader.
        margin: Of non-inferiority.
    """
    first = [
        _First(each, each.rating.rating)
        for each in items
        if each.rating is not None and not each.is_repeat
    ]
    readers = sorted({each.reader for each in items})
    return Analysis(
        rated=sum(each.rating is not None for each in items),
        missing=sum(each.rating is None for each in items),
        arms=[_arm_figures(arm, first, readers) for arm in Arm],
        comparison=_comparison(first, margin),
        repeats=_repeats(items),
        blinding=_blinding(items),
        readers=[_reader(reader, items) for reader in readers],
    )


def _mean(rows: Rows) -> Value:
    return float(rows.mean()) if len(rows) else Undefined(Reason.NO_CASES)


def _success(ratings: Iterable[Rating]) -> Rows:
    return np.array([each.is_success for each in ratings], dtype=np.float64)


def _arm_figures(arm: Arm, first: Sequence[_First], readers: Sequence[str]) -> ArmFigures:
    own = [each for each in first if each.item.arm is arm]
    clusters = Clusters([each.item.case_label for each in own])
    table = _table(own, readers)
    return ArmFigures(
        arm=arm,
        n=len(own),
        counts={rating: sum(each.rating is rating for each in own) for rating in Rating},
        success=clustered_proportion(_success(each.rating for each in own), clusters),
        significant=_errors(own, significant=True),
        insignificant=_errors(own, significant=False),
        ac2_linear=gwet(table, len(_RATINGS), weights=Weights.LINEAR),
        ac2_quadratic=gwet(table, len(_RATINGS), weights=Weights.QUADRATIC),
    )


def _table(own: Sequence[_First], readers: Sequence[str]) -> Rows:
    """Return the classes int [texts, readers], `MISSING` where not rated."""
    texts = {text: row for row, text in enumerate(sorted({each.item.text_id for each in own}))}
    table = np.full((len(texts), max(len(readers), 1)), MISSING, dtype=np.int64)
    for each in own:
        place = texts[each.item.text_id], readers.index(each.item.reader)
        table[place] = _RATINGS.index(each.rating)
    return table


def _errors(own: Sequence[_First], *, significant: bool) -> Value:
    counts = [
        sum(error.significant is significant for error in each.item.rating.errors)
        for each in own
        if each.item.rating is not None
    ]
    return _mean(np.array(counts, dtype=np.float64))


def _comparison(first: Sequence[_First], margin: float) -> Comparison:
    pairs: dict[tuple[str, str], dict[Arm, float]] = defaultdict(dict)
    for each in first:
        key = each.item.case_label, each.item.reader
        pairs[key][each.item.arm] = float(each.rating.is_success)
    full = {key: found for key, found in sorted(pairs.items()) if len(found) == len(Arm)}
    draft, reference = (np.array([found[arm] for found in full.values()]) for arm in Arm)
    clusters = Clusters([case for case, _ in full])

    one_sided = clustered_difference(draft, reference, clusters, level=ONE_SIDED_LEVEL).interval
    lower = one_sided.low if isinstance(one_sided, Interval) else one_sided
    return Comparison(
        pairs=len(full),
        margin=margin,
        difference=clustered_difference(draft, reference, clusters),
        lower=lower,
        verdict=_verdict(lower, margin),
        needed=pairs_for_non_inferiority(margin, _USUAL_DISCORDANT),
    )


def _verdict(lower: Value, margin: float) -> NonInferiority:
    if isinstance(lower, Undefined):
        return NonInferiority.NOT_ESTIMATED
    return NonInferiority.SHOWN if lower > -margin else NonInferiority.NOT_SHOWN


def _repeats(items: Iterable[RatedItem]) -> RepeatFigures:
    both: dict[tuple[str, str], dict[bool, int]] = defaultdict(dict)
    for each in items:
        if each.rating is not None:
            grade = _RATINGS.index(each.rating.rating)
            both[each.reader, each.text_id][each.is_repeat] = grade
    pairs = [(found[False], found[True]) for found in both.values() if len(found) == 2]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return RepeatFigures(
        n=len(pairs),
        equal=wilson(sum(one == other for one, other in pairs), len(pairs)),
        ac2_linear=gwet(table, len(_RATINGS), weights=Weights.LINEAR),
    )


def _blinding(items: Iterable[RatedItem]) -> BlindingFigures:
    guesses = [
        (each.author, _WRITER[each.arm])
        for each in items
        if each.author is not None and not each.is_repeat
    ]
    named = [(guess, writer) for guess, writer in guesses if guess is not Author.UNSURE]
    right = sum(guess is writer for guess, writer in named)
    return BlindingFigures(
        n=len(named),
        unsure=len(guesses) - len(named),
        correct=wilson(right, len(named)),
        p=_chance_p(right, len(named)),
    )


def _chance_p(right: int, n: int) -> Value:
    if n == 0:
        return Undefined(Reason.NO_CASES)
    extreme = min(right, n - right)
    return min(1.0, 2 * binomial_cumulative(extreme, n, 0.5))


def _reader(reader: str, items: Sequence[RatedItem]) -> ReaderFigures:
    own = [each for each in items if each.reader == reader]
    first = [(each.arm, each.rating) for each in own if each.rating and not each.is_repeat]
    wins = Counter(arm for arm, rating in first if rating.rating.is_success)
    shown = Counter(arm for arm, _ in first)
    seconds = [rating.image_seconds + rating.text_seconds for _, rating in first]
    return ReaderFigures(
        reader=reader,
        n=len(first),
        success={arm: wilson(wins[arm], shown[arm]) for arm in Arm},
        blinding=_blinding(own),
        repeats=_repeats(own),
        median_seconds=float(np.median(seconds)) if seconds else Undefined(Reason.NO_CASES),
    )
