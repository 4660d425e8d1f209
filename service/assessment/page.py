"""The page of an evaluation: metrics as tiles, tables and charts, for a reader who was not there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from service.assessment.figures import ENOUGH_POSITIVES, Figures, FindingFigures, SetFigures
from service.assessment.flow import flow_as_text
from service.assessment.groups import GroupFigures
from service.assessment.judged import judge_section
from service.assessment.metrics import Metrics
from service.assessment.retrieval import retrieval_section
from service.assessment.study_rows import Attribute
from service.assessment.texts import Part, TextFigures
from service.evaluation.charts import Chart, reliability_chart, roc_chart
from service.evaluation.report import (
    NO_BREAK,
    Report,
    Section,
    Table,
    Tile,
    shown,
    shown_with_interval,
)
from service.evaluation.resampling import Bootstrap
from service.evaluation.roc import RocCurve
from service.evaluation.subgroups import TooFew
from service.evaluation.values import Estimate, Interval, Undefined, Value

TITLE: Final = "Evaluation of the model on this site's studies"
_SILENT: Final = (
    "A draft that does not state a finding, or calls it only possible, counts as negative; a study "
    "whose truth does not say whether the finding is present is left out. 95 % intervals."
)


def page(
    metrics: Metrics,
    *,
    facts: Sequence[tuple[str, str]],
    curves: Mapping[str, RocCurve],
    reasons: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    sections: Sequence[Section] = (),
) -> Report:
    """Return the report of an evaluation.

    Args:
        metrics: What was computed.
        facts: Names and values: model, versions, seed, dates.
        curves: ROC curves by finding.
        reasons: Sentences for the codes of the flow.
        warnings: Sentences that stand above the figures, beside those about the size.
        sections: Comparison and errors, shown after the figures.
    """
    figures = metrics.figures
    return Report(
        title=TITLE,
        facts=tuple(facts),
        flow=flow_as_text(metrics.flow, reasons or {}),
        tiles=tuple(_tiles(metrics)),
        warnings=(*warnings, *_limits(metrics)),
        sections=(
            Section("Findings", (_findings(figures), _counts(figures)), text=_SILENT),
            *sections,
            *_subgroups(metrics.subgroups),
            *_scores(figures, curves),
            *_texts(metrics.texts),
            *([judge_section(metrics.judge)] if metrics.judge else []),
            retrieval_section(metrics.retrieval),
            *_published(figures),
            Section("What this number of studies can show", (_sizes(figures),)),
        ),
    )


def _tiles(metrics: Metrics) -> Iterator[Tile]:
    figures = metrics.figures
    several = f"{len(figures.together_of)} findings together"
    yield Tile("Studies scored", str(figures.studies), f"of {metrics.flow[0].remaining} received")
    yield _tile("F1, micro", figures.together.micro, several)
    yield _tile("F1, mean of findings", figures.together.macro_defined, several)
    yield _tile("Sensitivity", figures.sensitivity, several)
    yield _tile("Specificity", figures.specificity, several)


def _tile(name: str, figure: Bootstrap, detail: str) -> Tile:
    if isinstance(figure.value, Undefined):
        return Tile(name, "–", f"{figure.value.reason}")
    return Tile(name, f"{figure.value:.2f}", f"{_interval(figure.interval, 2)}; {detail}")


def _interval(interval: Interval | Undefined, digits: int) -> str:
    if isinstance(interval, Undefined):
        return f"interval undefined: {interval.reason}"
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}".replace(" ", NO_BREAK)


def _limits(metrics: Metrics) -> Iterator[str]:
    figures = metrics.figures
    if not metrics.complete:
        yield "Not all studies have been read: the run was interrupted. These figures are of a part."
    if not figures.studies:
        yield "No study has both a draft and a truth: there is nothing to measure."
    elif figures.too_few:
        few = ", ".join(
            f"{name} ({each.counts.tp + each.counts.fn})"
            for name, each in figures.findings.items()
            if name in figures.too_few
        )
        yield (
            f"The number of studies is too small for a claim about {few}. The number of positive "
            f"studies stands in brackets; {ENOUGH_POSITIVES} are needed for an interval of about "
            "±10 points."
        )
    if metrics.empty_drafts:
        yield f"{metrics.empty_drafts} drafts are empty; they count as negative for each finding."


def _findings(figures: Figures) -> Table:
    return Table(
        "Each finding",
        ("Finding", "Positive", "F1", "Sensitivity", "Specificity", "PPV", "NPV", "Right side"),
        tuple(_finding_row(name, each) for name, each in figures.findings.items()),
        "F1: interval by resampling patients. The other rates: Wilson's interval. PPV and NPV hold only "
        "for the share of positives in these studies. Right side: of the findings that truth and draft "
        "both call present and give a side.",
    )


def _finding_row(name: str, each: FindingFigures) -> tuple[str, ...]:
    rate = each.rates
    return (
        name,
        f"{each.counts.tp + each.counts.fn} of {each.counts.n}",
        shown_with_interval(each.f1, digits=2),
        *(
            shown_with_interval(figure, digits=2)
            for figure in (rate.sensitivity, rate.specificity, rate.ppv, rate.npv)
        ),
        _side(each.right_side),
    )


def _side(share: Estimate) -> str:
    if share.n == 0:
        return "–"
    return f"{shown_with_interval(share, digits=2)}, n{NO_BREAK}={NO_BREAK}{share.n}"


def _counts(figures: Figures) -> Table:
    rows = [
        (name, *(str(n) for n in (c.tp, c.fp, c.fn, c.tn)), shown(each.coverage, digits=2))
        for name, each in figures.findings.items()
        for c in [each.counts]
    ]
    header = (
        "Finding",
        "Present, stated",
        "Absent, stated",
        "Present, not stated",
        "Absent, not stated",
        "Coverage",
    )
    return Table("Cross tables", header, tuple(rows), "Coverage: share of the scored studies whose "
                 "truth says whether the finding is present.")  # fmt: skip


def _published(figures: Figures) -> Iterator[Section]:
    if not figures.published:
        return
    rows = [
        _set_row(f"F1-{label}, {policy}", each)
        for label, policies in figures.published.items()
        for policy, each in policies.items()
    ]
    header = ("Set and policy", "Micro", "Macro", "Macro, empty = 0", "Pairs", "Coverage", "Empty")
    yield Section(
        "Label F1 as published",
        (
            Table(
                "By set of findings and policy",
                header,
                tuple(rows),
                "Definite pairs: CXR-LLaVA. Positive only: LLaVA-Rad's F1-14 and F1-5. Uncertain as "
                "positive: its F1-14+ and F1-5+. Figures of different policies or labelers must not be "
                "compared.",
            ),
        ),
    )


def _set_row(name: str, each: SetFigures) -> tuple[str, ...]:
    return (
        name,
        shown_with_interval(each.micro),
        shown_with_interval(each.macro_defined),
        shown_with_interval(each.macro_zero),
        str(each.pairs),
        shown(each.coverage, digits=2),
        str(each.empty),
    )


def _scores(figures: Figures, curves: Mapping[str, RocCurve]) -> Iterator[Section]:
    known = {name: each.scores for name, each in figures.findings.items() if each.scores}
    if not known:
        return
    rows: list[tuple[str, ...]] = []
    charts: list[Chart] = []
    for name, each in known.items():
        rows.append(
            (
                name,
                str(each.n),
                shown_with_interval(each.auroc),
                shown(each.brier),
                shown(each.expected_calibration_error),
                shown(each.line.slope, digits=2),
                shown(each.line.intercept, digits=2),
            )
        )
        place = name.replace(" ", "-")
        if name in curves:
            charts.append(_named(roc_chart(f"roc-{place}", curves[name], each.auroc), name))
        charts.append(_named(reliability_chart(f"reliability-{place}", each.bins), name))
    header = ("Finding", "n", "AUROC", "Brier", "ECE", "Slope", "Intercept")
    note = (
        "The model's own probability that a finding is present, asked for beside the text. AUROC: "
        "DeLong's interval on the logit scale. ECE: expected calibration error over ten bins. Slope 1 "
        "and intercept 0 are ideal."
    )
    yield Section(
        "Scores", (Table("Ranking and calibration", header, tuple(rows), note),), tuple(charts)
    )


def _named(chart: Chart, finding: str) -> Chart:
    return replace(chart, title=f"{finding.capitalize()}: {chart.title}")


def _texts(texts: Mapping[Part, TextFigures]) -> Iterator[Section]:
    rows = []
    for part, each in texts.items():
        for name, scores in (("drafts", each.drafts), ("one constant normal text", each.constant)):
            rows.append(
                (
                    f"{part.value}: {name}",
                    str(each.scored),
                    shown_with_interval(scores.rouge_l),
                    shown_with_interval(scores.bleu1, digits=1),
                    shown_with_interval(scores.bleu4, digits=1),
                )
            )
    if not rows:
        return
    left = "; ".join(
        f"{part.value}: {each.empty_references} without reference, {each.empty_drafts} empty drafts"
        for part, each in texts.items()
    )
    yield Section(
        "Words in common with the reference reports",
        (
            Table(
                "ROUGE-L (0 to 1), BLEU-1 and BLEU-4 (0 to 100)",
                ("Part and text", "n", "ROUGE-L", "BLEU-1", "BLEU-4"),
                tuple(rows),
                f"{left}. A score near that of the constant text shows similar wording, not "
                "agreement on findings.",
            ),
        ),
    )


def _subgroups(
    subgroups: Mapping[Attribute, Mapping[str, GroupFigures]],
) -> Iterator[Section]:
    tables = []
    for attribute, members in subgroups.items():
        rows = tuple(_group_row(name, each) for name, each in members.items())
        header = (attribute.value.capitalize(), "Studies", "F1, micro", "Sensitivity",
                  "Specificity", "F1 minus the others'")  # fmt: skip
        tables.append(Table(f"By {attribute.value}", header, rows))
    if tables:
        yield Section(
            "Subgroups",
            tuple(tables),
            text=(
                "Of the findings together. A figure is shown from 20 studies, sensitivity from "
                "10 with a positive finding. Among many differences some intervals exclude 0 by "
                "chance: a difference is a reason to investigate, not a result."
            ),
        )


def _group_row(name: str, each: GroupFigures) -> tuple[str, ...]:
    return (
        name,
        f"{each.studies}, {each.positives} with a finding",
        *(_or_few(one) for one in (each.f1, each.sensitivity, each.specificity, each.from_rest)),
    )


def _or_few(figure: Bootstrap | TooFew) -> str:
    return shown_with_interval(figure, digits=2)


def _sizes(figures: Figures) -> Table:
    rows = [
        (name, str(each.counts.tp + each.counts.fn), _points(each.detectable_drop))
        for name, each in figures.findings.items()
    ]
    return Table(
        "Smallest drop of the sensitivity that these studies could have shown",
        ("Finding", "Positive studies", "Drop"),
        tuple(rows),
        "One-sided 5 %, power 80 %, exact binomial test, from the sensitivity measured here.",
    )


def _points(drop: Value) -> str:
    return shown(drop) if isinstance(drop, Undefined) else f"{100 * drop:.0f} points"
