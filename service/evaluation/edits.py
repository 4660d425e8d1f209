"""What a person changed between draft and final report: word distance and sentence-aligned edits."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

import numpy as np

from service.evaluation.text import collapse
from service.evaluation.values import Reason, Value, ratio

# A full stop of an abbreviation or a number is followed by no capital letter; of "Dr." it is.
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"(])")


class Edit(StrEnum):
    """What happened to a sentence or a run of words."""

    EQUAL = "equal"
    REPLACE = "replace"
    DELETE = "delete"
    INSERT = "insert"


@dataclass(frozen=True, slots=True)
class WordEdit:
    """A run of words: `before` in the draft, `after` in the final report."""

    edit: Edit
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SentenceEdit:
    """A sentence of the draft and what became of it.

    Attributes:
        edit: REPLACE where the two differ in words.
        before: The draft's sentence, empty for INSERT.
        after: The final report's sentence, empty for DELETE.
        word_edits: The runs of words of a REPLACE, else empty.
    """

    edit: Edit
    before: str
    after: str
    word_edits: tuple[WordEdit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMeasure:
    """How much of a draft was changed.

    Attributes:
        distance: Words inserted, deleted or replaced, the fewest possible (Levenshtein 1966).
        ratio: Distance over the words of the longer text, 0 to 1; Undefined where both are empty.
        sentences: Number of the draft's sentences.
        kept: How many of them stand in the final report unchanged.
    """

    distance: int
    ratio: Value
    sentences: int
    kept: int

    @property
    def kept_share(self) -> Value:
        """Share of the draft's sentences that were kept."""
        return ratio(self.kept, self.sentences, Reason.NO_CASES)


def sentences(text: str) -> list[str]:
    """Split a text at line ends and after `.`, `!` or `?` before a capital letter or a digit."""
    lines = (collapse(line) for line in text.splitlines())
    return [part for line in lines if line for part in _SENTENCE_END.split(line)]


def word_distance(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Return the Levenshtein distance of two sequences of words, by bits of integers (Hyyro 2003)."""
    if not first:
        return len(second)
    places: dict[Hashable, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    mask, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    # Bits of the vertical differences +1 and -1 of the current column of the distance table.
    plus, minus, distance = mask, 0, len(first)
    for word in second:
        match = places.get(word, 0)
        diagonal = (((match & plus) + plus) ^ plus) | match | minus
        rising = minus | ~(diagonal | plus) & mask
        falling = plus & diagonal
        distance += bool(rising & last) - bool(falling & last)
        rising, falling = (rising << 1 | 1) & mask, (falling << 1) & mask
        plus, minus = falling | ~(diagonal | rising) & mask, rising & diagonal
    return distance


def measure(draft: str, final: str) -> EditMeasure:
    """Measure how much a draft was changed; words are runs without white space, case and signs count."""
    before, after = collapse(draft).split(), collapse(final).split()
    distance = word_distance(before, after)
    edits = align(draft, final)
    return EditMeasure(
        distance=distance,
        ratio=ratio(distance, max(len(before), len(after)), Reason.NO_CASES),
        sentences=sum(edit.edit is not Edit.INSERT for edit in edits),
        kept=sum(edit.edit is Edit.EQUAL for edit in edits),
    )


def align(draft: str, final: str) -> list[SentenceEdit]:
    """Align two texts by sentences in their order, so that the fewest words change.

    A pair of sentences costs its word distance, a sentence alone its number of words. Sentences of which
    no word is common are shown as deleted and inserted.
    """
    before, after = sentences(draft), sentences(final)
    words_before = [sentence.split() for sentence in before]
    words_after = [sentence.split() for sentence in after]
    edits: list[SentenceEdit] = []
    for i, j in _cheapest_path(words_before, words_after):
        if i is not None and j is not None:
            edits.append(_pair(before[i], after[j]))
        elif i is not None:
            edits.append(SentenceEdit(Edit.DELETE, before[i], ""))
        elif j is not None:
            edits.append(SentenceEdit(Edit.INSERT, "", after[j]))
    return edits


def word_edits(before: Sequence[str], after: Sequence[str]) -> tuple[WordEdit, ...]:
    """Return the runs of words that are equal, replaced, deleted or inserted, in order."""
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return tuple(
        WordEdit(Edit(tag), tuple(before[i0:i1]), tuple(after[j0:j1]))
        for tag, i0, i1, j0, j1 in matcher.get_opcodes()
    )


def _pair(before: str, after: str) -> SentenceEdit:
    if before == after:
        return SentenceEdit(Edit.EQUAL, before, after)
    return SentenceEdit(Edit.REPLACE, before, after, word_edits(before.split(), after.split()))


def _cheapest_path(
    before: list[list[str]], after: list[list[str]]
) -> list[tuple[int | None, int | None]]:
    """Return the aligned indices (draft, final), None where a sentence stands alone."""
    rows, columns = len(before), len(after)
    pair_cost = [[_pair_cost(first, second) for second in after] for first in before]
    # cost[i, j]: cheapest alignment of the first i with the first j sentences.
    cost = np.zeros((rows + 1, columns + 1))
    cost[1:, 0] = np.cumsum([len(words) for words in before])
    cost[0, 1:] = np.cumsum([len(words) for words in after])
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            cost[i, j] = min(
                cost[i - 1, j - 1] + pair_cost[i - 1][j - 1],
                cost[i - 1, j] + len(before[i - 1]),
                cost[i, j - 1] + len(after[j - 1]),
            )
    path: list[tuple[int | None, int | None]] = []
    i, j = rows, columns
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + pair_cost[i - 1][j - 1]:
            i, j = i - 1, j - 1
            path.append((i, j))
        elif j and cost[i, j] == cost[i, j - 1] + len(after[j - 1]):
            j -= 1
            path.append((None, j))
        else:
            i -= 1
            path.append((i, None))
    return path[::-1]


def _pair_cost(first: list[str], second: list[str]) -> float:
    """Cost of pairing two sentences; without a common word dearer than both alone."""
    if not set(first) & set(second):
        return len(first) + len(second) + 1
    return word_distance(first, second)
