"""Finds the known name nearest to a misspelled one, and words the suggestion."""

from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final

_ENOUGH: Final = 0.6
_MOST_NAMES: Final = 12
# A common prefix raises the score, as in the Jaro-Winkler similarity: people rarely misspell it.
_LONGEST_BEGINNING: Final = 4
_OF_BEGINNING: Final = 0.1


def nearest_name(
    given: str, known: Collection[str], evidence: Mapping[str, float] | None = None
) -> str | None:
    """Return the known name most similar to `given`, or None if no name is similar enough.

    Args:
        given: The name as it was written.
        known: The names that exist.
        evidence: An additional score of each name, 0 to 1; it decides between similar names.
    """
    scores = {name: _similarity(given.lower(), name.lower()) for name in known}
    similar = {name: score for name, score in scores.items() if score >= _ENOUGH}
    weight = evidence or {}
    return max(similar, key=lambda name: similar[name] + weight.get(name, 0.0), default=None)


def _similarity(given: str, name: str) -> float:
    ratio = SequenceMatcher(None, given, name, autojunk=False).ratio()
    common = 0
    for one, other in zip(given, name, strict=False):
        if one != other or common == _LONGEST_BEGINNING:
            break
        common += 1
    return ratio + common * _OF_BEGINNING * (1 - ratio)


def suggestion(
    given: str, known: Sequence[str], evidence: Mapping[str, float] | None = None
) -> str:
    """Return "; did you mean `x`?", or the known names if none is near, or "" if they are too many."""
    if found := nearest_name(given, known, evidence):
        return f"; did you mean `{found}`?"
    return f"; allowed are: {', '.join(known)}" if 0 < len(known) <= _MOST_NAMES else ""


def choice(given: str, allowed: Sequence[str], meant: str | None = None) -> str:
    """Return "; allowed are: a, b (did you mean 'a'?)"; `meant` replaces the search for the nearest."""
    near = meant or nearest_name(given, allowed)
    hint = f" (did you mean {near!r}?)" if near else ""
    return f"; allowed are: {', '.join(allowed)}{hint}"
