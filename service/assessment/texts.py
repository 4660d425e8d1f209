"""Lexical scores of drafts and of a constant text against reference reports, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.evaluation.resampled_sums import ResampledSums, Sums
from service.evaluation.resampling import Bootstrap, Clusters
from service.evaluation.text import CONSTANT_NORMAL, bleu, bleu_counts, collapse, rouge_l
from service.evaluation.values import Integers, Reason, Value, ratio


class Part(StrEnum):
    """Which part of the reports is compared."""

    FINDINGS = "findings"
    REPORT = "findings and impression"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPair:
    """Reference and draft of one study, by part; "" where a text lacks the part."""

    patient: str
    reference: Mapping[Part, str]
    draft: Mapping[Part, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalFigures:
    """Scores of one text source on the references."""

    rouge_l: Bootstrap
    bleu1: Bootstrap
    bleu4: Bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFigures:
    """Scores of the drafts and of the constant text on the same references.

    Attributes:
        scored: Studies with a reference.
        empty_references: Studies left out, as the reference lacks this part.
        empty_drafts: Studies scored with an empty draft.
    """

    drafts: LexicalFigures
    constant: LexicalFigures
    scored: int
    empty_references: int
    empty_drafts: int


def text_figures(pairs: Sequence[TextPair], *, draws: int, seed: int) -> dict[Part, TextFigures]:
    """Return the scores of each part; empty where no study has a reference text."""
    return {part: _part(pairs, part, draws=draws, seed=seed) for part in Part} if pairs else {}


def _part(pairs: Sequence[TextPair], part: Part, *, draws: int, seed: int) -> TextFigures:
    used = [pair for pair in pairs if collapse(pair.reference.get(part, ""))]
    references = [collapse(pair.reference[part]) for pair in used]
    drafts = [collapse(pair.draft.get(part, "")) for pair in used]
    clusters = Clusters([pair.patient for pair in used])
    constant = [CONSTANT_NORMAL] * len(used)
    return TextFigures(
        drafts=_lexical(references, drafts, clusters, draws=draws, seed=seed),
        constant=_lexical(references, constant, clusters, draws=draws, seed=seed),
        scored=len(used),
        empty_references=len(pairs) - len(used),
        empty_drafts=sum(not draft for draft in drafts),
    )


def _lexical(
    references: Sequence[str], drafts: Sequence[str], clusters: Clusters, *, draws: int, seed: int
) -> LexicalFigures:
    counts = bleu_counts(references, drafts)
    rouge = [rouge_l(ref, draft) for ref, draft in zip(references, drafts, strict=True)]
    # The last columns: ROUGE-L, and 1 for each study, whose quotient is the mean.
    beside = np.array([rouge, [1.0] * len(rouge)]).T.reshape(-1, 2)
    sums = ResampledSums.of(np.hstack([counts, beside]), clusters, draws=draws, seed=seed)
    return LexicalFigures(
        rouge_l=sums.bootstrap(_mean_rouge),
        bleu1=sums.bootstrap(lambda totals: bleu(_bleu_rows(totals), order=1)),
        bleu4=sums.bootstrap(lambda totals: bleu(_bleu_rows(totals), order=4)),
    )


def _mean_rouge(totals: Sums) -> Value:
    return ratio(float(totals[-2]), float(totals[-1]), Reason.NO_CASES)


def _bleu_rows(totals: Sums) -> Integers:
    return np.rint(totals[np.newaxis, :-2]).astype(np.int64)
