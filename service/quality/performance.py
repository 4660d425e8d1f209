"""Performance in daily use: acceptability, decisions, agreement with final reports, with intervals."""

from collections.abc import Sequence
from typing import Any, Final

from service.drift.agreement import FindingAgreement, agreement_of, shown_kappa
from service.drift.rows import RowKind
from service.evaluation.report import NO_BREAK, shown, shown_with_interval
from service.evaluation.values import Estimate
from service.final_reports.report import FinalState
from service.quality.document import Section, Table, counted, not_recorded
from service.quality.inputs import Inputs
from service.review.figures import (
    PUBLISHED_WORDS,
    DecisionFacts,
    Figures,
    Grouping,
    estimate_json,
    figures_by,
    figures_json,
)
from service.review.words import ACCEPTABILITY_TEXT

_FEW: Final = 20
FIGURE_HEADER: Final = (
    "", "Decisions", "Acceptable (steps 1 and 2)", "Accepted unchanged", "Rejected",
    "Findings agreed with",
)  # fmt: skip
_INTERVALS: Final = (
    "95 % intervals: Wilson's; of the findings agreed with, by decisions, since the findings of one "
    "report are not independent. Several decisions on one patient are taken as independent."
)
_ANCHORED: Final = (
    "Agreement of a radiologist who saw the draft is an upper bound of the agreement of one who "
    "did not. The labeler misreads about one statement in twenty: agreement with final reports "
    "cannot be better than that. Disagreement: reports in which draft and final report differ on "
    "the finding."
)


def performance(inputs: Inputs) -> tuple[list[Section], dict[str, Any]]:
    """Return the sections on performance, and the same as values."""
    begin, end = inputs.period.begin, inputs.period.end
    facts = inputs.store.decision_facts(since=begin, until=end)
    rows = inputs.store.monitor_rows(f"{inputs.period.first}", f"{inputs.period.last}")
    agreements = agreement_of(rows)
    states = inputs.store.final_report_states(begin, end)
    groups = {each.value: figures_by(facts, each) for each in (Grouping.ALL, Grouping.MODEL)}
    compared = sum(row.kind is RowKind.FINAL and bool(row.events) for row in rows)
    return [_decisions(facts), _final_reports(agreements, states, compared)], {
        "decisions": {
            name: [figures_json(each) for each in found] for name, found in groups.items()
        },
        "final_reports": states,
        "final_reports_compared": compared,
        "agreement": [_agreement_json(each) for each in agreements],
    }


def _decisions(facts: Sequence[DecisionFacts]) -> Section:
    if not facts:
        missing = not_recorded("decisions of radiologists on drafts in this period")
        return Section(title="Acceptability and decisions", sentences=(missing,))
    few = (f"Only {len(facts)} decisions: the intervals are wide, and a difference says little.",)
    tables = [
        Table(FIGURE_HEADER, tuple(figure_row(each) for each in figures_by(facts, by)), caption)
        for by, caption in (
            (Grouping.ALL, "All decisions that stand"),
            (Grouping.MODEL, "By model and version"),
            (Grouping.FINDING, "By finding that the draft states"),
        )
    ]
    (whole,) = figures_by(facts, Grouping.ALL)
    steps = [
        (f"{step.value}: {text}", whole.steps.get(step.value, 0))
        for step, text in ACCEPTABILITY_TEXT.items()
    ]
    return Section(
        title="Acceptability and decisions",
        sentences=(f"{_INTERVALS} {PUBLISHED_WORDS}",),
        warnings=few if len(facts) < _FEW else (),
        tables=(
            *tables,
            counted(("Four-step acceptability", "Decisions"), steps),
            counted(
                ("Reason of rejection", "Decisions"),
                [each for each in whole.rejections.items() if each[1]],
                "Rejections by reason",
            ),
        ),
    )


def figure_row(each: Figures) -> tuple[str, ...]:
    """Return the row of a group of decisions, for a table of `FIGURE_HEADER`."""
    return (
        each.name,
        str(each.n),
        _share(each.acceptable),
        _share(each.unchanged),
        str(each.verdicts.get("reject", 0)),
        _share(each.agreement),
    )


def _share(estimate: Estimate) -> str:
    if estimate.n == 0:
        return "–"
    counted_in = f"n = {estimate.n}".replace(" ", NO_BREAK)
    return f"{shown_with_interval(estimate, digits=2)}, {counted_in}"


def _final_reports(
    agreements: Sequence[FindingAgreement], states: dict[str, int], compared: int
) -> Section:
    if not compared:
        missing = not_recorded("final reports that were compared with drafts in this period")
        tables: tuple[Table, ...] = ()
        sentences = (missing,)
    else:
        sentences = (
            (
                f"{compared} final reports were compared. A report is left out of a finding on which "
                f"it or the draft is uncertain. {_ANCHORED}"
            ),
        )
        tables = (
            Table(
                ("Finding", "Both", "Only draft", "Only report", "Neither", "Agreement",
                 "Disagreement", "Kappa", "AC1"),
                tuple(_agreement_row(each) for each in agreements),
                "Drafts against final reports",
                numeric=frozenset({1, 2, 3, 4}),
            ),
        )  # fmt: skip
    arrived = [(FinalState(name).value, count) for name, count in sorted(states.items())]
    return Section(
        title="Agreement with final reports",
        sentences=sentences,
        tables=(*tables, counted(("State", "Reports"), arrived, "Final reports that arrived")),
    )


def _agreement_row(each: FindingAgreement) -> tuple[str, ...]:
    both, only_draft, only_report, neither = each.table
    n = sum(each.table)
    return (
        each.observation.value,
        *(str(count) for count in (both, only_draft, only_report, neither)),
        _share(each.observed),
        f"{only_draft + only_report} of {n}" if n else "–",
        shown_kappa(each) if n else "–",
        shown(each.ac1, digits=2) if n else "–",
    )


def _agreement_json(each: FindingAgreement) -> dict[str, Any]:
    return {
        "finding": each.observation.value,
        "both_onlydraft_onlyreport_neither": list(each.table),
        "agreement": estimate_json(each.observed),
        "kappa": each.kappa,
        "ac1": each.ac1,
    }
