"""The results of a judge: `judge.json` or `judge_validation.json`, and lines for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.evaluation.chexprompt.prompt import Metric
from service.evaluation.chexprompt.raters import RaterAgreement
from service.evaluation.chexprompt.summary import MAX_UNPARSABLE, Figures, Summary
from service.evaluation.metrics_json import metrics_json
from service.evaluation.values import Interval, Undefined, Value
from workers.judge.asking import Judge, total_tokens
from workers.judge.journal import Reply
from workers.judge.probe import Probe
from workers.judge.raters_file import Sum

_ZERO_SHOT: Final = (
    "Without the published examples the metric is chexprompt-zero-shot: do not compare it with "
    "published figures of CheXprompt."
)
_OTHER_JUDGES: Final = (
    "Counts of different judges are not comparable: published figures of CheXprompt are of GPT-4."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What the figures come from.

    Attributes:
        judge: Prompt, model and decoding.
        host: Host of the server.
        remote: Whether a server outside the site was allowed.
        probe: What the probe found; None if nothing had to be sent.
        faults: Of this probe, or of the recorded one of an earlier run; None if none is recorded.
        replies: The recorded replies.
    """

    judge: Judge
    host: str
    remote: bool
    probe: Probe | None
    faults: tuple[str, ...] | None
    replies: Sequence[Reply]

    def statements(self) -> Iterator[str]:
        """Yield the sentences that must accompany the figures."""
        if self.judge.prompt.metric is Metric.ZERO_SHOT:
            yield _ZERO_SHOT
        yield _OTHER_JUDGES
        if self.remote:
            yield f"Report texts were sent to {self.host}: a server outside the site was allowed."
        if self.faults:
            yield "The judge failed the probe: its counts are untested."

    def as_json(self) -> dict[str, Any]:
        """Return the provenance for a results file."""
        return {
            "metric": self.judge.prompt.metric,
            "model": self.judge.model,
            "reported_models": sorted({each.model for each in self.replies if each.model}),
            "host": self.host,
            "remote_allowed": self.remote,
            "decoding": self.judge.parameters,
            "probe_faults": None if self.faults is None else list(self.faults),
            "tokens": total_tokens(self.replies),
            "statements": list(self.statements()),
        }


def write_summary(
    path: Path, found: Summary, source: Provenance, *, without_reference: int
) -> None:
    """Write `judge.json`: byte-identical for the same replies and seed."""
    content = {
        "judge": source.as_json(),
        "figures": found,
        "without_reference": without_reference,
    }
    path.write_text(metrics_json(content), "utf-8")


def write_agreement(
    path: Path, found: Mapping[Sum, RaterAgreement], source: Provenance | None
) -> None:
    """Write the agreement with raters, without a judge where there was none."""
    content = {"judge": source.as_json() if source else None, "agreement": found}
    path.write_text(metrics_json(content), "utf-8")


def summary_lines(found: Summary, *, metric: Metric, without_reference: int) -> Iterator[str]:
    """Yield the figures for the terminal."""
    failed = {reason.value: count for reason, count in found.unparsable.items() if count}
    reasons = "; ".join(f"{reason}: {count}" for reason, count in failed.items())
    yield (
        f"{metric}: {found.pairs} pairs: {found.parsed} parsed ({found.tolerant} by the tolerant parser"
        f"), {sum(failed.values())} unparsable{f' ({reasons})' if reasons else ''}, {found.no_draft} "
        f"without a draft; not among these, {without_reference} without a reference text"
    )
    if found.headline is None:
        yield (
            f"no figure: more than {MAX_UNPARSABLE:.0%} of the replies are unparsable, or nothing was "
            "judged; the parsed ones are not a representative sample"
        )
        return
    for name, figures in (
        (Sum.TOTAL, found.total),
        (Sum.SIGNIFICANT, found.significant),
        (Sum.INSIGNIFICANT, found.insignificant),
    ):
        yield _figures_line(name, figures)


def agreement_lines(found: Mapping[Sum, RaterAgreement]) -> Iterator[str]:
    """Yield the agreement with raters for the terminal, and what it means for the judge."""
    for name, each in found.items():
        yield (
            f"{name}: {each.pairs} pairs, {each.raters} raters: a left-out rater {each.rater_error:.3f}"
            f", Kendall's tau {_shown(each.rater_tau)}; the constant {each.constant:g} "
            f"{each.constant_error:.3f}; mean {each.mean:.2f}, {each.zero_share:.0%} of ratings are 0"
        )
        if isinstance(each.judge_error, Undefined):
            continue
        yield (
            f"{name}: the judge on {each.judged} pairs {each.judge_error:.3f} (a left-out rater on "
            f"these {_shown(each.rater_error_on_judged)}), Kendall's tau {_shown(each.judge_tau)}: "
            f"{_verdict(each, each.judge_error)}"
        )


def _verdict(found: RaterAgreement, error: float) -> str:
    rater = found.rater_error_on_judged
    if not isinstance(rater, Undefined) and error <= rater:
        return "as close to the others as a rater"
    if error >= found.constant_error:
        return "not better than a constant: do not use this judge"
    return "farther from the raters than a rater"


def _figures_line(name: str, figures: Figures) -> str:
    types = ", ".join(f"{kind} {_shown(mean, 2)}" for kind, mean in figures.by_type.items())
    return (
        f"{name}: {_shown(figures.mean.value, 2)} errors a report {_interval(figures.mean.interval)}, "
        f"SD {_shown(figures.deviation, 2)}; without error {_percent(figures.without.value)}; by type "
        f"{types}"
    )


def _shown(value: Value, digits: int = 3) -> str:
    return f"undefined ({value.reason})" if isinstance(value, Undefined) else f"{value:.{digits}f}"


def _percent(value: Value) -> str:
    return _shown(value) if isinstance(value, Undefined) else f"{value:.1%}"


def _interval(interval: Interval | Undefined) -> str:
    if isinstance(interval, Undefined):
        return f"(no interval: {interval.reason})"
    return f"({interval.low:.2f} to {interval.high:.2f})"
