"""What the drafts got wrong: each mistake with what is known of it, and what makes findings be missed.

A finding is small where its size is below the median of its positive studies, otherwise large. It is
focal or diffuse as the truth states.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

import numpy as np

from service.assessment.figures import known_findings, pooled_sensitivity, together_of
from service.assessment.study_rows import FINDINGS, Attribute, StudyRow
from service.evaluation.labels import Label
from service.evaluation.proportions import wilson
from service.evaluation.resampled_sums import ResampledSums, Sums
from service.evaluation.resampling import Bootstrap, Clusters, difference
from service.evaluation.subgroups import Figure, TooFew, too_few
from service.evaluation.values import Estimate, Value


class Kind(StrEnum):
    """What is wrong."""

    MISSED = "missed"
    INVENTED = "stated, but absent"
    WRONG_SIDE = "wrong side"


class Trait(StrEnum):
    """What the positive studies of a finding differ in."""

    SIZE = "size"
    PATTERN = "pattern"
    SIDE = "side"


SMALL, LARGE = "small", "large"
FOCAL, DIFFUSE = "focal", "diffuse"
# Of each trait the two values that are set against each other.
_OPPOSED: Final = {Trait.SIZE: (SMALL, LARGE), Trait.PATTERN: (FOCAL, DIFFUSE)}
_ATTRIBUTES: Final = (Attribute.DEVICE, Attribute.VIEW, Attribute.PROMPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One wrong statement of one draft.

    Attributes:
        traits: Value by `Trait`, of the truth; of an invented finding the draft's side.
        attributes: Device, view and prompt.
    """

    study: str
    finding: str
    kind: Kind
    traits: Mapping[Trait, str]
    attributes: Mapping[Attribute, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MistakeGroup:
    """The mistakes of one kind about one finding, counted.

    Attributes:
        n: How many.
        by: How many by value of each trait and attribute.
    """

    finding: str
    kind: Kind
    n: int
    by: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnalysis:
    """What was wrong, and how the sensitivity depends on the traits of the findings.

    Attributes:
        studies: Scored studies with at least one mistake.
        groups: By finding and kind.
        sensitivity: By trait, its value and finding; TooFew below ten positive studies.
        contrasts: By trait: sensitivity of the first of its two values minus that of the second, pooled
            over the findings that have both; TooFew where one has fewer than ten positive studies.
    """

    studies: int
    groups: tuple[MistakeGroup, ...]
    sensitivity: dict[Trait, dict[str, dict[str, Estimate | TooFew]]]
    contrasts: dict[Trait, Bootstrap | TooFew]


def error_analysis(rows: Sequence[StudyRow], *, draws: int, seed: int) -> ErrorAnalysis:
    """Analyze the mistakes of scored rows."""
    found = mistakes(rows)
    traits = traits_of(rows)
    return ErrorAnalysis(
        studies=len({one.study for one in found}),
        groups=tuple(_groups(found)),
        sensitivity={trait: _sensitivity(rows, traits, trait) for trait in Trait},
        contrasts={
            trait: _contrast(rows, traits, trait, draws=draws, seed=seed) for trait in _OPPOSED
        },
    )


Traits = Mapping[tuple[str, str], Mapping[Trait, str]]


def traits_of(rows: Sequence[StudyRow]) -> Traits:
    """Return the traits of each positive finding, by study and finding."""
    middle = {}
    for name in FINDINGS:
        sizes = [
            size
            for row in rows
            if row.truth.get(name) is Label.POSITIVE and (size := row.detail(name).size) is not None
        ]
        if sizes:
            middle[name] = median(sizes)
    return {
        (row.id, name): _traits(row, name, middle.get(name))
        for row in rows
        for name, label in row.truth.items()
        if label is Label.POSITIVE
    }


def _traits(row: StudyRow, name: str, middle: float | None) -> dict[Trait, str]:
    detail = row.detail(name)
    found = {Trait.SIDE: detail.truth_side, Trait.PATTERN: detail.pattern}
    if detail.size is not None and middle is not None:
        found[Trait.SIZE] = SMALL if detail.size < middle else LARGE
    return {trait: value for trait, value in found.items() if value}


def mistakes(rows: Sequence[StudyRow]) -> tuple[Mistake, ...]:
    """Return every mistake of scored rows, by finding, kind and study."""
    traits = traits_of(rows)
    found = [one for row in rows for one in _of_row(row, traits)]
    order = {name: place for place, name in enumerate(FINDINGS)}
    kinds = list(Kind)
    return tuple(
        sorted(found, key=lambda one: (order[one.finding], kinds.index(one.kind), one.study))
    )


def _of_row(row: StudyRow, traits: Traits) -> Iterator[Mistake]:
    attributes = {name: row.group(name) for name in _ATTRIBUTES}
    for name, truth in row.truth.items():
        kind = _kind(row, name, truth)
        if kind is None:
            continue
        own = traits.get((row.id, name), {})
        if kind is Kind.INVENTED and row.detail(name).draft_side:
            own = {Trait.SIDE: row.detail(name).draft_side}
        yield Mistake(study=row.id, finding=name, kind=kind, traits=own, attributes=attributes)


def _kind(row: StudyRow, name: str, truth: Label) -> Kind | None:
    stated = row.predicted.get(name) is Label.POSITIVE
    if truth is Label.NEGATIVE:
        return Kind.INVENTED if stated else None
    if truth is not Label.POSITIVE:
        return None
    if not stated:
        return Kind.MISSED
    detail = row.detail(name)
    both = bool(detail.truth_side and detail.draft_side)
    return Kind.WRONG_SIDE if both and detail.truth_side != detail.draft_side else None


def _groups(found: Sequence[Mistake]) -> Iterator[MistakeGroup]:
    for name in FINDINGS:
        for kind in Kind:
            here = [one for one in found if one.finding == name and one.kind is kind]
            if here:
                yield MistakeGroup(finding=name, kind=kind, n=len(here), by=_counted(here))


def _counted(here: Sequence[Mistake]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for one in here:
        traits = {trait.value: value for trait, value in one.traits.items()}
        attributes = {attribute.value: value for attribute, value in one.attributes.items()}
        for name, value in (traits | attributes).items():
            counts.setdefault(name, Counter())[value] += 1
    return {name: dict(sorted(count.items())) for name, count in sorted(counts.items())}


def _sensitivity(
    rows: Sequence[StudyRow], traits: Traits, trait: Trait
) -> dict[str, dict[str, Estimate | TooFew]]:
    values = sorted({own[trait] for own in traits.values() if trait in own})
    return {
        value: {
            name: _rate(rows, traits, trait, value, name)
            for name in FINDINGS
            if any(
                own.get(trait) == value for (_, finding), own in traits.items() if finding == name
            )
        }
        for value in values
    }


def _rate(
    rows: Sequence[StudyRow], traits: Traits, trait: Trait, value: str, name: str
) -> Estimate | TooFew:
    here = [row for row in rows if traits.get((row.id, name), {}).get(trait) == value]
    few = too_few(Figure.SENSITIVITY, positives=len(here), negatives=0)
    hits = sum(row.predicted.get(name) is Label.POSITIVE for row in here)
    return few or wilson(hits, len(here))


def _contrast(
    rows: Sequence[StudyRow], traits: Traits, trait: Trait, *, draws: int, seed: int
) -> Bootstrap | TooFew:
    """Return the difference of the pooled sensitivities of a trait's two values."""
    # Of a finding that has one of the two only, the difference would be one between findings.
    known = {(name, own.get(trait)) for (_, name), own in traits.items()}
    names = [
        name
        for name in together_of(known_findings(rows))
        if all((name, value) in known for value in _OPPOSED[trait])
    ]
    counts = np.zeros((len(rows), 2, 1, 4))
    for line, row in enumerate(rows):
        for side, value in enumerate(_OPPOSED[trait]):
            here = [name for name in names if traits.get((row.id, name), {}).get(trait) == value]
            hits = sum(row.predicted.get(name) is Label.POSITIVE for name in here)
            counts[line, side, 0] = (hits, 0, len(here) - hits, 0)
    fewest = int(counts.sum(axis=(0, 2, 3)).min()) if len(rows) else 0
    few = too_few(Figure.SENSITIVITY, positives=fewest, negatives=0)
    if few is not None:
        return few

    def of_both(totals: Sums) -> Value:
        return difference(pooled_sensitivity(totals[0]), pooled_sensitivity(totals[1]))

    clusters = Clusters([row.patient for row in rows])
    return ResampledSums.of(counts, clusters, draws=draws, seed=seed).bootstrap(of_both)


def mistakes_csv(rows: Sequence[StudyRow]) -> str:
    """Return every mistake as CSV text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [*(trait.value for trait in Trait), *(each.value for each in _ATTRIBUTES)]
    writer.writerow(["id", "finding", "mistake", *names])
    for one in mistakes(rows):
        values = [one.traits.get(trait, "") for trait in Trait]
        values += [one.attributes.get(each, "") for each in _ATTRIBUTES]
        writer.writerow([one.study, one.finding, one.kind.value, *values])
    return text.getvalue()
