"""The error analysis on the page: what was wrong, what makes findings be missed, and example studies."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from service.assessment.mistakes import (
    DIFFUSE,
    FOCAL,
    LARGE,
    SMALL,
    ErrorAnalysis,
    Mistake,
    MistakeGroup,
    Trait,
)
from service.assessment.study_rows import FINDINGS
from service.evaluation.report import (
    NO_BREAK,
    Card,
    Gallery,
    Section,
    Table,
    shown_with_interval,
)
from service.evaluation.subgroups import TooFew
from service.evaluation.values import Estimate

CARDS_PER_GROUP: Final = 3
_INTRODUCTION: Final = (
    "Each statement that differs from the truth. A label of the truth may be wrong, too: check "
    "the image before the difference is counted as an error of the model. All drafts are "
    "unverified AI drafts."
)
_KEY: Final = (
    "Solid yellow outline: location by the model. Dashed blue outline: location in the truth."
)
_WORDS: Final = {
    Trait.SIZE: "Small: below the median size of the positive studies of the finding.",
    Trait.PATTERN: "Focal: on one side. Diffuse: on both sides, or as the truth states.",
    Trait.SIDE: "By the side that the truth states.",
}
_COLUMNS: Final = ("side", "size", "pattern", "view", "device", "prompt")
_ORDER: Final = (SMALL, LARGE, FOCAL, DIFFUSE, "right", "left", "bilateral")


def mistakes_section(analysis: ErrorAnalysis, cards: Mapping[str, Sequence[Card]]) -> Section:
    """Return the section of the error analysis.

    Args:
        analysis: What was counted.
        cards: Examples by the title of their group (`group_title`).
    """
    tables = [_groups_table(analysis), *_trait_tables(analysis)]
    galleries = tuple(
        Gallery(group_title(group.finding, group.kind.value), _shown_of(group, own), tuple(own))
        for group in analysis.groups
        if (own := cards.get(group_title(group.finding, group.kind.value)))
    )
    return Section("Errors", tuple(tables), text=_INTRODUCTION, galleries=galleries)


def group_title(finding: str, kind: str) -> str:
    """Return the heading of a group of mistakes."""
    return f"{finding.capitalize()}: {kind}"


def chosen(mistakes: Sequence[Mistake], *, most: int = CARDS_PER_GROUP) -> list[Mistake]:
    """Return the first mistakes of each group."""
    taken: dict[tuple[str, str], int] = {}
    kept = []
    for one in mistakes:
        key = (one.finding, one.kind.value)
        taken[key] = taken.get(key, 0) + 1
        if taken[key] <= most:
            kept.append(one)
    return kept


def _shown_of(group: MistakeGroup, cards: Sequence[Card]) -> str:
    several = f"{len(cards)} of {group.n} shown; all are in errors.csv. " if group.n > 1 else ""
    return several + (_KEY if any(card.outlines for card in cards) else "")


def _groups_table(analysis: ErrorAnalysis) -> Table:
    # A column that says the same everywhere, as the device of a site with one, is left out.
    values: dict[str, set[str]] = {}
    for group in analysis.groups:
        for name, counts in group.by.items():
            values.setdefault(name, set()).update(counts)
    columns = [name for name in _COLUMNS if len(values.get(name, ())) > 1]
    rows = [
        (group_title(group.finding, group.kind.value), str(group.n), *_spread(group, columns))
        for group in analysis.groups
    ]
    return Table(
        "What was wrong",
        ("Mistake", "n", *(name.capitalize() for name in columns)),
        tuple(rows),
        f"{analysis.studies} studies have at least one mistake.",
    )


def _spread(group: MistakeGroup, columns: Sequence[str]) -> Iterator[str]:
    for name in columns:
        counts = group.by.get(name, {})
        yield ", ".join(f"{value}{NO_BREAK}{count}" for value, count in counts.items()) or "–"


def _trait_tables(analysis: ErrorAnalysis) -> Iterator[Table]:
    for trait, by_value in analysis.sensitivity.items():
        values = sorted(by_value, key=lambda each: _ORDER.index(each) if each in _ORDER else 99)
        if len(values) < 2:
            continue
        names = [name for name in FINDINGS if any(name in by_value[value] for value in values)]
        rows = [
            (
                name,
                *(
                    _with_n(by_value[value][name]) if name in by_value[value] else "–"
                    for value in values
                ),
            )
            for name in names
        ]
        note = _WORDS[trait]
        if trait in analysis.contrasts:
            difference = shown_with_interval(analysis.contrasts[trait], digits=2)
            note += (
                f" Findings that have both, pooled, {values[0]} minus {values[1]}: {difference}."
            )
        yield Table(f"Sensitivity by {trait.value}", ("Finding", *values), tuple(rows), note)


def _with_n(figure: Estimate | TooFew) -> str:
    shown = shown_with_interval(figure, digits=2)
    return shown if isinstance(figure, TooFew) else f"{shown}, n{NO_BREAK}={NO_BREAK}{figure.n}"
