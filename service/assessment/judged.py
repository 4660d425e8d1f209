"""Errors that a language model counted in the drafts (CheXprompt), and their section of the report."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.evaluation.chexprompt.prompt import ErrorType, Metric
from service.evaluation.chexprompt.summary import MAX_UNPARSABLE, Figures, Summary
from service.evaluation.report import Section, Table, shown, shown_with_interval

TITLE: Final = "Errors counted by a language model"
_NOTE: Final = (
    "95 % intervals by resampling patients. The counts are a language model's: they are not of a person "
    "and do not describe a single draft."
)
_NO_FIGURE: Final = (
    f"No figure is shown: more than {100 * MAX_UNPARSABLE:.0f} % of the replies could not be parsed, or "
    "there is none. The parsed replies are not a representative sample."
)

_TYPE_WORDS: Final = {
    ErrorType.FALSE_FINDING: "false finding",
    ErrorType.OMITTED_FINDING: "omitted finding",
    ErrorType.LOCATION: "wrong location",
    ErrorType.SEVERITY: "wrong severity",
    ErrorType.FALSE_COMPARISON: "false comparison",
    ErrorType.OMITTED_COMPARISON: "omitted comparison",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeFigures:
    """What a judge counted.

    Attributes:
        metric: Name of the metric; without the published examples `chexprompt-zero-shot`.
        source: Model, server, decoding, result of the probe, tokens.
        statements: Sentences that must accompany the figures.
        figures: Totals with intervals, and what could not be parsed by reason.
        without_reference: Scored studies without a findings section in their reference report.
    """

    metric: Metric
    source: Mapping[str, Any]
    statements: tuple[str, ...]
    figures: Summary
    without_reference: int


@dataclass(frozen=True, slots=True)
class NotJudged:
    """Why there are no figures of the judge that the command asked for."""

    not_judged: str


def has_figure(found: JudgeFigures | NotJudged) -> bool:
    """Return whether the judge gave a figure."""
    return isinstance(found, JudgeFigures) and found.figures.headline is not None


def judge_section(found: JudgeFigures | NotJudged) -> Section:
    """Return the section of the report."""
    if isinstance(found, NotJudged):
        return Section(TITLE, text=f"Not counted: {found.not_judged}")
    is_shown = has_figure(found)
    tables = [*(_figures_tables(found.figures) if is_shown else ()), _pairs_table(found)]
    text = [*([] if is_shown else [_NO_FIGURE]), *found.statements]
    name = f"{TITLE}: {found.metric.value}, {found.source['model']}"
    return Section(name, tuple(tables), text=" ".join(text))


def _figures_tables(found: Summary) -> Iterator[Table]:
    named = {
        "All errors": found.total,
        "Clinically significant": found.significant,
        "Clinically insignificant": found.insignificant,
    }
    yield Table(
        f"Errors a draft, {found.parsed} drafts",
        ("", "Mean", "Standard deviation", "Drafts without such an error"),
        tuple(_sum_row(name, each) for name, each in named.items()),
        _NOTE,
    )
    yield Table(
        "Mean number of errors a draft by type",
        ("", *named),
        tuple(_type_row(each, named.values()) for each in ErrorType),
    )


def _sum_row(name: str, each: Figures) -> tuple[str, ...]:
    return (
        name,
        shown_with_interval(each.mean, digits=2),
        shown(each.deviation, digits=2),
        shown_with_interval(each.without, digits=2),
    )


def _type_row(kind: ErrorType, sums: Iterable[Figures]) -> tuple[str, ...]:
    name = f"{kind.value} {_TYPE_WORDS[kind]}"
    return (name, *(shown(each.by_type[kind], digits=2) for each in sums))


def _pairs_table(found: JudgeFigures) -> Table:
    figures = found.figures
    rows = (
        ("Drafts with a reference text", figures.pairs),
        ("Counted", figures.parsed),
        ("Counted, from a reply in another layout than requested", figures.tolerant),
        *((f"Unparsable: {why.value}", n) for why, n in figures.unparsable.items() if n),
        ("Empty draft, not sent", figures.no_draft),
        ("Studies without a reference text", found.without_reference),
    )
    return Table("What became of each draft", ("", "n"), tuple((name, str(n)) for name, n in rows))
