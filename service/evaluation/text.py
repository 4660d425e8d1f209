"""Lexical scores of a draft against a reference report: BLEU-1, BLEU-4 and ROUGE-L.

They measure shared words, not findings: a report that denies a pneumothorax shares all words but one
with a report that has it. Beside each score stands `constant_baseline`, what one fixed normal text
reaches on the same references.

The rules of what is scored: white space is collapsed and nothing else changed; a study with an empty
reference is left out and counted; an empty draft stays and scores 0.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Final

import numpy as np

from service.evaluation.values import (
    EvaluationInputError,
    Integers,
    Reason,
    Undefined,
    Value,
)

MAX_ORDER: Final = 4
# A report without findings; every study is scored against it as if it were the draft.
CONSTANT_NORMAL: Final = (
    "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. "
    "There is no pneumothorax or pleural effusion. No acute bony abnormality."
)
# mteval-v13a of NIST as in sacrebleu 2.6.0, signature tok:13a: each rule on the line of the one before.
_RULES_13A: Final = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES: Final = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")
_WHITE_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalScores:
    """Scores of a corpus.

    Attributes:
        bleu1: 0 to 100.
        bleu4: 0 to 100.
        rouge_l: Mean of the studies' F-measures, 0 to 1.
        scored: Number of studies scored.
        empty_references: Number left out, as their reference is empty.
        empty_drafts: Number scored with an empty draft.
    """

    bleu1: Value
    bleu4: Value
    rouge_l: Value
    scored: int
    empty_references: int
    empty_drafts: int


def collapse(text: str) -> str:
    """Return the text with each run of white space as one space, and none at its ends."""
    return _WHITE_SPACE.sub(" ", text).strip()


def lexical_scores(references: Sequence[str], drafts: Sequence[str]) -> LexicalScores:
    """Score drafts against references.

    Raises:
        EvaluationInputError: The numbers of texts differ.
    """
    if len(references) != len(drafts):
        raise EvaluationInputError(
            f"{len(references)} references and {len(drafts)} drafts: the numbers must be equal"
        )
    both = [(collapse(ref), collapse(draft)) for ref, draft in zip(references, drafts, strict=True)]
    scored = [(reference, draft) for reference, draft in both if reference]
    counts = bleu_counts([ref for ref, _ in scored], [draft for _, draft in scored])
    each = [rouge_l(reference, draft) for reference, draft in scored]
    return LexicalScores(
        bleu1=bleu(counts, order=1),
        bleu4=bleu(counts, order=4),
        rouge_l=float(np.mean(each)) if each else Undefined(Reason.NO_CASES),
        scored=len(scored),
        empty_references=len(both) - len(scored),
        empty_drafts=sum(not draft for _, draft in scored),
    )


def constant_baseline(references: Sequence[str], text: str = CONSTANT_NORMAL) -> LexicalScores:
    """Score one fixed text as the draft of every study."""
    return lexical_scores(references, [text] * len(references))


def tokens_13a(text: str) -> list[str]:
    """Split a text as sacrebleu's `13a` tokenizer does; case is kept."""
    line = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        line = line.replace(entity, character)
    line = f" {line} "
    for pattern, replacement in _RULES_13A:
        line = pattern.sub(replacement, line)
    return line.split()


def bleu_counts(references: Sequence[str], drafts: Sequence[str]) -> Integers:
    """Return int64 [n, 10] per study, whose sums over studies give the corpus BLEU.

    Columns: matching n-grams of order 1 to 4, n-grams of the draft of order 1 to 4, words of the draft,
    words of the reference.
    """
    rows = [
        _counts(tokens_13a(reference), tokens_13a(draft))
        for reference, draft in zip(references, drafts, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 2 * MAX_ORDER + 2)


def bleu(counts: Integers, *, order: int = MAX_ORDER) -> Value:
    """Return the corpus BLEU (Papineni 2002), 0 to 100.

    Equal to sacrebleu 2.6.0 `nrefs:1 case:mixed eff:no tok:13a smooth:exp`: an order without a match
    counts as 1/(2^k) match, k the number of such orders so far (Chen and Cherry 2014, method 3); no
    match of single words, or a corpus without n-grams of an order, gives 0.

    Args:
        counts: int [n, 10] of `bleu_counts`.
        order: Longest n-gram, 1 to 4.

    Raises:
        EvaluationInputError: order is outside 1 to 4.
    """
    if not 1 <= order <= MAX_ORDER:
        raise EvaluationInputError(f"order must be 1 to {MAX_ORDER}, not {order}")
    if len(counts) == 0:
        return Undefined(Reason.NO_CASES)
    sums = [int(count) for count in counts.sum(axis=0)]
    matches, totals = sums[:order], sums[MAX_ORDER : MAX_ORDER + order]
    draft_text, reference_words = sums[2 * MAX_ORDER], sums[2 * MAX_ORDER + 1]
    if not any(matches) or 0 in totals:
        return 0.0
    halving, logs = 1.0, 0.0
    for matching, total in zip(matches, totals, strict=True):
        halving = halving if matching else halving * 2
        logs += log(matching / total) if matching else -log(halving * total)
    brevity = min(0.0, 1 - reference_words / draft_text)
    return 100 * exp(brevity + logs / order)


def rouge_tokens(text: str) -> list[str]:
    """Split a text as rouge_score 0.1.2 does without a stemmer: lower-case runs of a-z and 0-9."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()


def rouge_l(reference: str, draft: str) -> float:
    """Return ROUGE-L's F-measure (Lin 2004), 0 to 1: 2PR/(P + R) by the longest common subsequence.

    0 where either text holds no word.
    """
    expected, found = rouge_tokens(reference), rouge_tokens(draft)
    common = longest_common_subsequence(expected, found)
    return 2 * common / (len(expected) + len(found)) if common else 0.0


def longest_common_subsequence(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Return the length of the longest common subsequence, by bits of one integer (Hyyro 2004)."""
    places: dict[Hashable, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    mask = (1 << len(first)) - 1
    row = mask
    for word in second:
        here = row & places.get(word, 0)
        row = ((row + here) | (row - here)) & mask
    return len(first) - row.bit_count()


def _counts(reference: list[str], draft: list[str]) -> list[int]:
    matches, totals = [], []
    for order in range(1, MAX_ORDER + 1):
        found, expected = _ngrams(draft, order), _ngrams(reference, order)
        matches.append((found & expected).total())
        totals.append(found.total())
    return [*matches, *totals, len(draft), len(reference)]


def _ngrams(words: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))
