"""`metrics.json` of an evaluation: everything that is computed, byte-identical for the same inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from service.assessment.comparison import PairedComparison, SiteComparison, comparison
from service.assessment.figures import Figures, figures
from service.assessment.flow import empty_drafts, flow
from service.assessment.groups import GroupFigures, groups
from service.assessment.judged import JudgeFigures, NotJudged
from service.assessment.mistakes import ErrorAnalysis, error_analysis
from service.assessment.retrieval import RetrievalFigures, StudyVectors, retrieval_figures
from service.assessment.study_rows import Attribute, Outcome, StudyRow, scored
from service.assessment.texts import Part, TextFigures, TextPair, text_figures
from service.evaluation.report import FlowStep
from service.evaluation.resampling import DRAWS

_NO_VECTORS: Final = StudyVectors()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What an evaluation found.

    Attributes:
        complete: Whether every study has been read.
        flow: From received to scored.
        empty_drafts: Scored studies without text.
        truth_without_study: Truths that belong to no study received.
        judge: Errors counted by a language model; None where none was requested.
    """

    complete: bool
    seed: int
    draws: int
    flow: tuple[FlowStep, ...]
    empty_drafts: int
    truth_without_study: int
    figures: Figures
    texts: dict[Part, TextFigures]
    subgroups: dict[Attribute, dict[str, GroupFigures]]
    errors: ErrorAnalysis
    retrieval: RetrievalFigures
    comparisons: tuple[PairedComparison | SiteComparison, ...]
    judge: JudgeFigures | NotJudged | None


def metrics_of(
    rows: Sequence[StudyRow],
    pairs: Mapping[str, TextPair],
    *,
    seed: int,
    truth_without_study: int,
    others: Sequence[tuple[str, Sequence[StudyRow]]] = (),
    vectors: StudyVectors = _NO_VECTORS,
    judge: JudgeFigures | NotJudged | None = None,
    draws: int = DRAWS,
) -> Metrics:
    """Compute everything from the rows and texts, in the order of the ids.

    Args:
        rows: All studies received.
        pairs: Reference and draft by study id.
        seed: Of all resampling.
        truth_without_study: Truths that belong to no study received.
        others: Names and scored rows of the evaluations that this one is compared with.
        vectors: Vectors of images and reference reports.
        judge: What a language model counted.
        draws: Resamples of each interval.
    """
    used = scored(rows)
    texts = [pairs[row.id] for row in used if row.id in pairs]
    return Metrics(
        complete=all(row.outcome is not Outcome.NOT_READ for row in rows),
        seed=seed,
        draws=draws,
        flow=flow(rows),
        empty_drafts=empty_drafts(used),
        truth_without_study=truth_without_study,
        figures=figures(used, draws=draws, seed=seed),
        texts=text_figures(texts, draws=draws, seed=seed),
        subgroups=groups(used, draws=draws, seed=seed),
        errors=error_analysis(used, draws=draws, seed=seed),
        retrieval=retrieval_figures(used, vectors),
        comparisons=tuple(
            comparison(used, other, name, draws=draws, seed=seed) for name, other in others
        ),
        judge=judge,
    )
