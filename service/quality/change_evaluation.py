"""Evaluation before and after a change: modifications, protocol, impact, and limits set beforehand.

Built like the parts of a predetermined change control plan (FDA). The comparison is that of
`wetread evaluate --compare`: after minus before, a positive difference is an improvement.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from service.assessment.comparison import (
    Contrast,
    PairedComparison,
    SiteComparison,
    SiteContrast,
    comparison,
)
from service.evaluation.report import shown, shown_with_interval
from service.evaluation.resampling import DRAWS, Bootstrap
from service.evaluation.subgroups import CLASS_CASES
from service.evaluation.values import LEVEL, Interval, Value
from service.quality.document import Document, DocumentKind, Facts, Section, Table, not_recorded
from service.quality.evaluation_folder import EvaluationFolder, at, is_number, shown_figure
from service.quality.inputs import Change
from service.quality.limits import Limit, LimitedFigure, local_day

_Compared = PairedComparison | SiteComparison
_MODIFIED: Final = (
    ("Model", ("model", "name")),
    ("Version", ("model", "version")),
    ("Weights, SHA-256", ("model", "weights_sha256")),
    ("Decoding and libraries", ("model", "decoding")),
    ("Prompt", ("prompt",)),
    ("Labeler", ("labeler",)),
    ("Software", ("made_by",)),
    ("Children", ("children",)),
)
_PAIRED_TESTS: Final = "swap test of paired figures, McNemar per finding, adjusted by Holm"
_NO_TEST: Final = "none: the studies are not the same"
_LABELS: Final = {
    LimitedFigure.MICRO_F1: "micro F1",
    LimitedFigure.MACRO_F1: "macro F1",
    LimitedFigure.SENSITIVITY: "sensitivity",
    LimitedFigure.SPECIFICITY: "specificity",
}
_NAMES: Final = {
    LimitedFigure.MICRO_F1: "micro F1",
    LimitedFigure.MACRO_F1: "macro F1",
    LimitedFigure.F1: "F1",
    LimitedFigure.PPV: "PPV",
    LimitedFigure.NPV: "NPV",
}
_SMALLEST_P: Final = 0.001
_PATHS: Final = {
    LimitedFigure.MICRO_F1: ("together", "micro"),
    LimitedFigure.MACRO_F1: ("together", "macro_defined"),
    LimitedFigure.SENSITIVITY: ("sensitivity",),
    LimitedFigure.SPECIFICITY: ("specificity",),
}


class Verdict(StrEnum):
    """Whether a limit is kept."""

    PASSED = "passed"
    EXCEEDED = "exceeded"
    NOT_SHOWN = "not shown"  # the value keeps it, but its interval does not
    NO_VALUE = "no value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A limit with the value that it is about and the verdict.

    Attributes:
        low: The lower bound of its interval, None without one.
        is_few: Whether there are too few cases for an interval by resampling.
    """

    limit: Limit
    value: float | None
    low: float | None
    shown: str
    is_few: bool = False

    @property
    def least(self) -> float:
        """The lowest value that keeps the limit."""
        if self.limit.minimum is not None:
            return self.limit.minimum
        return -(self.limit.largest_drop or 0.0)

    @property
    def verdict(self) -> Verdict:
        """Passed only if the whole interval keeps the limit: few studies do not pass it."""
        if self.value is None:
            return Verdict.NO_VALUE
        if self.value < self.least:
            return Verdict.EXCEEDED
        is_shown = self.low is not None and self.low >= self.least and not self.is_few
        return Verdict.PASSED if is_shown else Verdict.NOT_SHOWN


def change_evaluation(change: Change) -> Document:
    """Return the document about a change.

    Raises:
        QualityInputError: The rows of an evaluation cannot be read.
    """
    before, after, limits = change.before, change.after, change.limits
    found = comparison(after.rows(), before.rows(), before.name, draws=DRAWS, seed=after.seed)
    judged = [_judged(each, after, found) for each in limits.limits]
    kind = DocumentKind.CHANGE_EVALUATION
    return Document(
        kind=kind,
        name=kind.value,
        title="Evaluation before and after a change",
        facts=(
            ("Before", _name(before)),
            ("After", _name(after)),
            ("Limits", _summary(judged)),
        ),
        sections=(
            _modifications(before, after),
            _protocol(change, found),
            _limits_section(change, judged),
            _impact(found),
            _rollback(),
        ),
        values={
            "before": before.manifest.get("inputs_digest"),
            "after": after.manifest.get("inputs_digest"),
            "limits_sha256": limits.sha256,
            "limits": [_judged_json(each) for each in judged],
            "comparison": found,
        },
    )


def _name(folder: EvaluationFolder) -> str:
    model = f"{folder.model.get('name', 'model')} {folder.model.get('version', '')}".strip()
    return f"{model} (evaluation “{folder.name}”)"


def _summary(judged: list[Judged]) -> str:
    counts = [(each, sum(one.verdict is each for one in judged)) for each in Verdict]
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts if count)


def _modifications(before: EvaluationFolder, after: EvaluationFolder) -> Section:
    pairs = [
        (name, *(str(at(each.manifest, *path) or "") for each in (before, after)))
        for name, path in _MODIFIED
    ]
    settings = [(at(each.manifest, "reading") or {}) for each in (before, after)]
    pairs += [
        (f"reading.{key}", *(str(each.get(key, "as shipped")) for each in settings))
        for key in sorted({*settings[0], *settings[1]})
    ]
    rows = tuple(
        (name, was or not_recorded(name.lower()), now or not_recorded(name.lower()))
        for name, was, now in pairs
        if was != now
    )
    facts = Facts().add("Reason of the change", "", missing="reason of the change")
    facts.add("Risk assessment of the change", "", missing="risk assessment of the change")
    unchanged = [name for name, was, now in pairs if was == now and was]
    return Section(
        title="Modifications",
        sentences=(f"Unchanged: {', '.join(unchanged) or 'nothing'}.",),
        facts=facts.all(),
        tables=(Table(("What", "Before", "After"), rows, "Changed"),),
    )


def _protocol(change: Change, found: _Compared) -> Section:
    before, after = change.before, change.after
    same_truth = at(before.manifest, "truth", "sha256") == at(after.manifest, "truth", "sha256")
    facts = Facts()
    facts.add("Studies", _studies(found))
    facts.add("Truth", "the same in both" if same_truth else "differs; that of after is used")
    facts.add("Truth, SHA-256", str(at(after.manifest, "truth", "sha256") or ""))
    facts.add("Difference", "after minus before; 95 % interval by resampling patients")
    facts.add("Tests", _PAIRED_TESTS if isinstance(found, PairedComparison) else _NO_TEST)
    facts.add("Resamples and seed", f"{DRAWS}, seed {after.seed}")
    for name, folder in (("Before, begun", before), ("After, begun", after)):
        facts.add(name, str(local_day(str(folder.manifest.get("started", ""))) or ""))
    facts.add("Protocol approved by", "", missing="approval of the protocol")
    return Section(title="Protocol", facts=facts.all(), warnings=tuple(_warnings(change, found)))


def _studies(found: _Compared) -> str:
    if isinstance(found, PairedComparison):
        left = f"{found.only_first} only after, {found.only_second} only before"
        return f"{found.common} scored in both (paired); {left}"
    return f"{found.second_studies} before, {found.first_studies} after: no study is in both"


def _warnings(change: Change, found: _Compared) -> Iterator[str]:
    if isinstance(found, SiteComparison):
        yield (
            "The two evaluations have no study in common: differences also come from the "
            "studies, not only from the change."
        )
    if change.before.manifest.get("labeler") != change.after.manifest.get("labeler"):
        yield (
            "The drafts were labeled by different versions of the labeler: call `wetread evaluate` "
            "again for both folders."
        )
    for words, folder in (("before", change.before), ("after", change.after)):
        if not folder.metrics.get("complete", False):
            yield f"The evaluation {words} the change was interrupted: it has a part of the studies."


def _limits_section(change: Change, judged: list[Judged]) -> Section:
    limits, started = change.limits, str(change.after.manifest.get("started", ""))
    facts = Facts()
    facts.add("Set on", str(limits.set_on or ""), missing="when the limits were set")
    facts.add("Set by", limits.set_by, missing="who set the limits")
    facts.add("File, SHA-256", limits.sha256)
    warnings = []
    if limits.is_late(started):
        warnings.append(
            "By their own date the limits were set after the evaluation after the change was "
            f"begun ({local_day(started)}): they are not limits set beforehand."
        )
    exceeded = [_limit_name(each.limit) for each in judged if each.verdict is Verdict.EXCEEDED]
    if exceeded:
        warnings.append(f"Exceeded, {len(exceeded)} of {len(judged)}: {'; '.join(exceeded)}.")
    return Section(
        title="Limits set beforehand",
        sentences=(
            (
                "Passed: the whole 95 % interval keeps the limit. Exceeded: the value does not "
                "keep it. Not shown: the value keeps it and a part of the interval does not, or the "
                f"figure is resampled from fewer than {CLASS_CASES} cases; more studies are needed. If "
                "all resamples are alike the lower bound is the exact one for that many cases. That "
                "the file has not changed since is shown only by a digest noted earlier."
            ),
        ),
        warnings=tuple(warnings),
        facts=facts.all(),
        tables=(
            Table(
                ("Limit", "Required", "Found (95 % interval)", "Verdict"),
                tuple(
                    (_limit_name(each.limit), _required(each.limit), each.shown, each.verdict.value)
                    for each in judged
                ),
            ),
        ),
    )


def _limit_name(limit: Limit) -> str:
    of = limit.finding or "all findings together"
    return f"{_NAMES.get(limit.figure, limit.figure.value)}, {of}"


def _required(limit: Limit) -> str:
    if limit.minimum is not None:
        return f"after: at least {limit.minimum:g}"
    return f"after minus before: at least {-(limit.largest_drop or 0):g}"


def _judged(limit: Limit, after: EvaluationFolder, found: _Compared) -> Judged:
    figures = after.metrics["figures"]
    cases = _cases(limit, figures)
    if limit.minimum is not None:
        judged = _by_minimum(limit, _figure_after(limit, figures), cases)
    else:
        if isinstance(found, PairedComparison):
            cases = min(cases, found.common)
        judged = _by_drop(limit, _difference(limit, found), cases)
    # The rates of one finding have Wilson's interval, which holds for few cases too.
    is_resampled = not limit.finding or limit.figure is LimitedFigure.F1
    return replace(judged, is_few=is_resampled and cases < CLASS_CASES)


def _cases(limit: Limit, figures: dict[str, Any]) -> int:
    """Return in how many studies, at most one a patient, the figure could have been lower.

    Those with the finding, for the specificity those without it.
    """
    names = [limit.finding] if limit.finding else figures.get("together_of") or ()
    keys = ("fp", "tn") if limit.figure is LimitedFigure.SPECIFICITY else ("tp", "fn")
    studies = sum(
        at(figures, "findings", name, "counts", key) or 0 for name in names for key in keys
    )
    return min(studies, int(figures.get("patients") or studies))


def _exact_low(value: float, cases: int) -> float | None:
    """Return the lower bound of a figure that is the same in every resample, as Clopper and Pearson's.

    An interval without width would say that a few cases prove the figure.
    """
    return value - (1 - ((1 - LEVEL) / 2) ** (1 / cases)) if cases > 0 else None


def _alike(value: float, low: float | None, cases: int) -> str:
    bound = "none" if low is None else f"{low:.3f}"
    return f"{value:.3f} (the same in every resample of {cases} cases; lower bound {bound})"


def _figure_after(limit: Limit, figures: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if not limit.finding:
        return at(figures, *_PATHS[limit.figure])
    of = at(figures, "findings", limit.finding)
    if limit.figure is LimitedFigure.F1:
        return at(of, "f1")
    return at(of, "rates", limit.figure.value)


def _by_minimum(limit: Limit, figure: Any, cases: int) -> Judged:  # noqa: ANN401 - JSON
    value, low, high = (
        found if is_number(found) else None
        for found in (
            at(figure, "value"),
            *(at(figure, "interval", end) for end in ("low", "high")),
        )
    )
    shown_value = shown_figure(figure, digits=3)
    if value is not None and low is not None and low == high:
        low = _exact_low(value, cases)
        shown_value = _alike(value, low, cases)
    return Judged(limit=limit, value=value, low=low, shown=shown_value)


def _difference(limit: Limit, found: _Compared) -> Bootstrap | None:
    if limit.finding:
        of = found.findings.get(limit.finding)
        if of is None:
            return None
        return of.difference if isinstance(of, SiteContrast) else of.f1.difference
    if isinstance(found, PairedComparison):
        return found.together[_LABELS[limit.figure]].difference
    # Two sites have the micro F1 of all findings only.
    return found.together.difference if limit.figure is LimitedFigure.MICRO_F1 else None


def _by_drop(limit: Limit, figure: Bootstrap | None, cases: int) -> Judged:
    if figure is None:
        return Judged(limit=limit, value=None, low=None, shown="– (not compared)")
    value = figure.value if isinstance(figure.value, float) else None
    low = figure.interval.low if isinstance(figure.interval, Interval) else None
    words = shown_with_interval(figure)
    if value is not None and isinstance(figure.interval, Interval) and low == figure.interval.high:
        low = _exact_low(value, cases)
        words = _alike(value, low, cases)
    return Judged(limit=limit, value=value, low=low, shown=words)


def _judged_json(judged: Judged) -> dict[str, Any]:
    limit = judged.limit
    return {
        "figure": limit.figure,
        "finding": limit.finding or None,
        "minimum": limit.minimum,
        "largest_drop": limit.largest_drop,
        "value": judged.value,
        "low": judged.low,
        "verdict": judged.verdict,
    }


def _impact(found: _Compared) -> Section:
    header = ("", "Before", "After", "After minus before (95 % interval)", "p, adjusted")
    rows = tuple(_impact_rows(found))
    sentences: tuple[str, ...] = ()
    if isinstance(found, PairedComparison):
        better, worse = (", ".join(names) or "none" for names in (found.better, found.worse))
        sentences = (
            (
                f"Findings more often right after the change (adjusted p < 0.05): {better}. Less "
                f"often right: {worse}. A difference that is not shown may still exist."
            ),
        )
    facts = Facts().add(
        "Impact on patients and workflow", "", missing="impact on patients and workflow"
    )
    return Section(
        title="Impact",
        sentences=sentences,
        facts=facts.all(),
        tables=(Table(header, rows, "Figures before and after"),),
    )


def _impact_rows(found: _Compared) -> Iterator[tuple[str, ...]]:
    if isinstance(found, SiteComparison):
        yield ("micro F1, together", *_site(found.together), "–")
        for name, each in found.findings.items():
            yield (f"F1, {name}", *_site(each), "–")
        return
    for name, contrast in found.together.items():
        yield (f"{name}, together", *_paired(contrast), _shown_p(contrast.test.p))
    for name, one in found.findings.items():
        yield (f"F1, {name}", *_paired(one.f1), _shown_p(one.f1_p_holm))


def _shown_p(p: Value) -> str:
    return "< 0.001" if isinstance(p, float) and p < _SMALLEST_P else shown(p)


def _paired(contrast: Contrast) -> tuple[str, str, str]:
    before, after = shown(contrast.second), shown(contrast.first)
    return before, after, shown_with_interval(contrast.difference)


def _site(contrast: SiteContrast) -> tuple[str, str, str]:
    return (
        shown_with_interval(contrast.second),
        shown_with_interval(contrast.first),
        shown_with_interval(contrast.difference),
    )


def _rollback() -> Section:
    facts = Facts().add("Decision on the change", "", missing="decision of the site on the change")
    return Section(
        title="Rollback",
        sentences=(
            (
                "`wetread model use` chooses the earlier model for new studies if it is still "
                "configured. `wetread recall --model NAME --version VERSION` withdraws drafts of "
                "a version from every destination. `wetread drafting stop` stops drafting at "
                "once."
            ),
        ),
        facts=facts.all(),
    )
