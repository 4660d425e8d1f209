"""Check that a model's text is language: a wrong tokenizer or damaged weights produce other text. Pure.

The text is compared with the words and the pairs of adjacent words of chest X-ray reports in
`report_language.txt` (made and measured by benchmarks/report_language.py). The check does not tell
whether the text is true.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from service.errors import TextNotLanguage

BOUNDARY: Final = "."  # between sentences; a "word" of its own in pairs
WORDS_FILE: Final = Path(__file__).with_name("report_language.txt")

_TOKEN: Final = re.compile(r"[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)?|[.;:!?\n]")
# Placeholders of removed names in de-identified texts.
_BLANK: Final = re.compile(r"_{2,}|\bx{3,}\b|\[\*\*.*?\*\*\]", re.IGNORECASE)
_LONGEST_WORD: Final = 40  # letters; the longest word of the reports has 20
_LEAST_LETTERS: Final = 0.6  # of the characters; the minimum of the reports is 0.88
_LEAST_KNOWN: Final = 0.6  # of the words
_LEAST_PAIRS: Final = 0.42  # of the pairs; the minimum of the reports is 0.48, of random words 0.37
_SHORT: Final = 8  # words; a shorter text has few pairs, and short reports use common pairs
_LEAST_PAIRS_OF_SHORT: Final = 0.55  # of the pairs; the minimum of the reports is 0.8
# Words of answers that reports do not use.
_ANSWER_WORDS: Final = frozenset({"yes", "diagnosis", "diagnoses", "differential", "x", "ray"})
_FEW: Final = 3  # words; one of so few, if there are two, may be a rare name
_LONGEST_PERIOD: Final = 30  # words
_REPEATS: Final = 4  # times in a row; twice as many for a period of one or two words


def fault_of(text: str) -> str:
    """Return why `text` is not language, as a clause that does not quote it, or "" if it is language.

    Args:
        text: The text of a model; an empty text has no fault.
    """
    shown = _BLANK.sub(" ", text)
    if not shown.strip():
        return ""
    tokens = tokenized(shown)
    words = [token for token in tokens if token != BOUNDARY]
    for fault in (_symbols(shown), _endless(words), _unknown(words), _loop(words)):
        if fault:
            return fault
    return _unlinked(tokens, _LEAST_PAIRS if len(words) >= _SHORT else _LEAST_PAIRS_OF_SHORT)


def fault_of_answer(text: str) -> str:
    """Return why the answer to a question is not language, as a clause, or "" if it is language.

    An answer is shorter than a report and combines words in other ways: digits count as letters,
    and pairs of words are not compared.

    Args:
        text: The answer; an empty one has no fault.
    """
    shown = re.sub(r"\d", "a", _BLANK.sub(" ", text)).replace("%", "a")
    if not shown.strip():
        return ""
    words = [token for token in tokenized(_BLANK.sub(" ", text)) if token != BOUNDARY]
    strange = [word for word in words if word not in _ANSWER_WORDS and word not in _followers()]
    if len(strange) == 1 < len(words) <= _FEW:
        strange = []
    for fault in (_symbols(shown), _endless(words), _loop(words)):
        if fault:
            return fault
    return _unknown(words) if len(strange) > (1 - _LEAST_KNOWN) * len(words) else ""


def check_language(text: str, remedy: str) -> None:
    """Check that `text` is language or empty.

    Args:
        text: The text of a model.
        remedy: Sentences for the error: what to check for this model.

    Raises:
        TextNotLanguage: It is not language; the message does not quote it.
    """
    fault = fault_of(text.replace("</s>", " "))
    if fault:
        raise TextNotLanguage(
            f"The model's text is not English report language (or not language at all): {fault}. "
            f"{remedy}"
        )


def tokenized(text: str) -> list[str]:
    """Return the words of `text` in lower case, with `BOUNDARY` before, between and after sentences."""
    tokens = [BOUNDARY]
    for match in _TOKEN.finditer(text.lower()):
        token = match.group() if match.group()[0].isalpha() else BOUNDARY
        if token != BOUNDARY or tokens[-1] != BOUNDARY:
            tokens.append(token)
    return tokens if tokens[-1] == BOUNDARY else [*tokens, BOUNDARY]


def _symbols(text: str) -> str:
    marks = [char for char in text if not char.isspace()]
    letters = sum(char.isalpha() for char in marks)
    if letters >= _LEAST_LETTERS * len(marks):
        return ""
    return f"{len(marks) - letters} of its {len(marks)} characters are not letters"


def _endless(words: Sequence[str]) -> str:
    longest = max(map(len, words), default=0)
    return f"one of its words has {longest} letters" if longest > _LONGEST_WORD else ""


def _unknown(words: Sequence[str]) -> str:
    unknown = sum(word not in _followers() for word in words)
    if len(words) - unknown >= _LEAST_KNOWN * len(words):
        return ""
    return f"{unknown} of its {len(words)} words occur in no chest X-ray report"


def _loop(words: Sequence[str]) -> str:
    for period in range(1, min(_LONGEST_PERIOD, len(words) // _REPEATS) + 1):
        least = _REPEATS if period > 2 else 2 * _REPEATS
        if _longest_run(words, period) >= (least - 1) * period:
            return f"it repeats the same {period} words again and again"
    return ""


def _longest_run(words: Sequence[str], period: int) -> int:
    """Return the length of the longest run of words that equal the word `period` positions earlier."""
    longest = run = 0
    for word, before in zip(words[period:], words, strict=False):
        run = run + 1 if word == before else 0
        longest = max(longest, run)
    return longest


def _unlinked(tokens: Sequence[str], least: float) -> str:
    pairs = list(itertools.pairwise(tokens))
    followers = _followers()
    linked = sum(after in followers.get(word, ()) for word, after in pairs)
    if linked >= least * len(pairs):
        return ""
    unknown = len(pairs) - linked
    return f"its words form no sentences: {unknown} of {len(pairs)} pairs occur in no report"


@cache
def _followers() -> dict[str, frozenset[str]]:
    """Return each known word with the words that follow it in reports."""
    lines = WORDS_FILE.read_text(encoding="utf-8").splitlines()
    return dict(_entries(line for line in lines if not line.startswith("#")))


def _entries(lines: Iterator[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in lines:
        word, *after = line.split()
        yield word, frozenset(after)
