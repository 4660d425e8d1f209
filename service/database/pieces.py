"""Divides the values of an IN condition: a statement holds a limited number of parameters.

PostgreSQL takes 65,535 (its protocol counts them in 16 bits), SQLite 32,766 (sqlite.org/limits.html).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

VALUES_AT_ONCE: Final = 500

_Value = TypeVar("_Value")


def pieces(values: Iterable[_Value]) -> Iterator[Sequence[_Value]]:
    """Yield the values in their order, at most `VALUES_AT_ONCE` at a time; nothing for none.

    Args:
        values: Any number of values, also of an iterator.
    """
    left = iter(values)
    while piece := list(islice(left, VALUES_AT_ONCE)):
        yield piece
