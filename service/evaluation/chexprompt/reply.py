"""The reply of a judge: error counts by type, or the reason why it cannot be parsed.

Published parser and traps: a missing space after the first header loses type A there, and text after the
second list loses the second half. Both are read here and noted as `tolerant`. A list with an unknown
letter, or with anything but whole numbers from 0 to 20, is not read: a count would be too low.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.evaluation.chexprompt.prompt import (
    INSIGNIFICANT_HEADER,
    SIGNIFICANT_HEADER,
    ErrorType,
)

MAX_COUNT: Final = 20
# Characters that are searched: the server is not trusted, and a search takes their square in time.
_LONGEST: Final = 5000
_CUT: Final = "length"
_FILTERED: Final = "content_filter"
_THINKING: Final = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL)
_EXPLANATION: Final = "Explanation"
_HEADERS: Final = tuple(
    re.compile(header.rstrip(":").replace(" ", r"\s+") + r"\s*:", re.IGNORECASE)
    for header in (SIGNIFICANT_HEADER, INSIGNIFICANT_HEADER)
)
_LIST: Final = r"[(\[]" + ", ".join(rf"\({each}, \d+\)" for each in ErrorType) + r"[)\]]"
_STRICT: Final = re.compile(
    rf"\s*(Errors: )?{re.escape(SIGNIFICANT_HEADER)} {_LIST}\s*"
    rf"{re.escape(INSIGNIFICANT_HEADER)} {_LIST}\s*({_EXPLANATION}.*)?",
    re.DOTALL,
)
_PAIR: Final = re.compile(r"[(\[]?\s*['\"]?([A-Za-z]+)['\"]?\s*[,:=]\s*([^\s,()\[\]{}]+)\s*[)\]]?")
# A count: behind the list there must be none, or the list is not the whole.
_COUNT: Final = re.compile(r"\b[A-F]['\"]?\s*[,:=]\s*\d")
# A further pair: a list may lack its outer brackets.
_CONTINUES: Final = re.compile(r"\s*,?\s*[(\[]\s*['\"]?[A-Z]\b")
_CLOSING: Final = frozenset(")]}")
_BRACKETS: Final = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_REFUSALS: Final = re.compile(
    r"\b(i'?m sorry|i apologi[sz]e|i (can ?no|can'?)t|i am (un|not )able|i'?m (un|not )able"
    r"|prompt was filtered|as an ai\b)",
    re.IGNORECASE,
)

Counts = dict[ErrorType, int]


class Unparsable(StrEnum):
    """Why a reply gave no counts."""

    NO_HEADER = "no header"
    BAD_LIST = "a list that is not of the six types with numbers from 0 to 20"
    CUT = "cut at the limit of tokens"
    REFUSAL = "refusal"
    EMPTY = "empty"
    TOO_LONG = "the prompt is longer than the model's context"
    NO_ANSWER = "no answer from the server"


class Form(StrEnum):
    """STRICT: exactly the requested layout. TOLERANT: the published parser would lose counts."""

    STRICT = "strict"
    TOLERANT = "tolerant"


@dataclass(frozen=True, slots=True)
class Rating:
    """The error counts of one pair, with all six types in each."""

    significant: Counts
    insignificant: Counts
    form: Form = Form.STRICT


def parsed(text: str, *, finish_reason: str = "", refusal: bool = False) -> Rating | Unparsable:
    """Return the counts of a reply, or why there are none.

    Args:
        text: The reply's text.
        finish_reason: Why the server ended it, such as `stop`, `length` or `content_filter`.
        refusal: Whether the server marked it as a refusal.
    """
    answer = _THINKING.sub("", text).strip()
    halves = _halves(answer[:_LONGEST].partition(_EXPLANATION)[0])
    if halves is not None:
        counts = [_counts(half) for half in halves]
        if counts[0] is not None and counts[1] is not None:
            form = Form.STRICT if _STRICT.fullmatch(answer) else Form.TOLERANT
            return Rating(counts[0], counts[1], form)
    return _reason(answer, finish_reason, refusal=refusal, has_headers=halves is not None)


def _reason(answer: str, finish_reason: str, *, refusal: bool, has_headers: bool) -> Unparsable:
    if refusal or finish_reason == _FILTERED:
        return Unparsable.REFUSAL
    if finish_reason == _CUT:
        return Unparsable.CUT
    if not answer:
        return Unparsable.EMPTY
    if has_headers:
        return Unparsable.BAD_LIST
    return Unparsable.REFUSAL if _REFUSALS.search(answer) else Unparsable.NO_HEADER


def _halves(text: str) -> tuple[str, str] | None:
    """Return what follows each of the two headers; None unless each stands there once, in order."""
    found = [list(header.finditer(text)) for header in _HEADERS]
    if [len(each) for each in found] != [1, 1]:
        return None
    first, second = found[0][0], found[1][0]
    if first.end() > second.start():
        return None
    return text[first.end() : second.start()], text[second.end() :]


def _counts(half: str) -> Counts | None:
    """Return the counts of one list, missing types as 0; None where it is not a valid list."""
    content, rest = _split(half.lstrip(" \n\t*"))
    pairs = _PAIR.findall(content)
    outside = _PAIR.sub("", content).strip(" \n\t,*()[]{}")
    if not pairs or outside or _COUNT.search(rest):
        return None
    counts = dict.fromkeys(ErrorType, 0)
    for letter, number in pairs:
        if letter not in counts or not re.fullmatch(r"[0-9]{1,2}", number):
            return None
        counts[ErrorType(letter)] += int(number)
    letters = [letter for letter, _ in pairs]
    valid = len(set(letters)) == len(letters) and max(counts.values()) <= MAX_COUNT
    return counts if valid else None


def _split(text: str) -> tuple[str, str]:
    """Return the list at the start of a text, and the rest; without brackets it ends at a blank line."""
    if not text or text[0] not in "([{":
        content, _, rest = text.partition("\n\n")
        return content, rest
    depth = 0
    for place, character in enumerate(text):
        depth += _BRACKETS.get(character, 0)
        end = place + 1
        if character in _CLOSING and depth == 0 and not _CONTINUES.match(text, end):
            return text[:end], text[end:]
    return "", text  # not closed
