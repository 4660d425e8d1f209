"""Decode the JSON of a stored draft into records by their type hints; unknown fields are ignored.

Another version may have written the draft. An unknown field is ignored, because the known fields are
true without it. An unknown value or a value of the wrong type is an error, because a finding that was
left out could be the important one.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from dicom.errors import UnreadableDraft

T = TypeVar("T")
# Returns a value in the form of its field; the second argument is its path in the draft.
Reader = Callable[[object, str], Any]


def decoded(kind: type[T], data: object, at: str = "draft") -> T:
    """Return `data` as a record of the data class `kind`.

    Args:
        kind: A data class; its fields are strings, numbers, times, StrEnums, tuples, dictionaries of
            numbers, other data classes, or any of these and None.
        data: Parsed JSON.
        at: Path of `data` in the draft, for the error message.

    Raises:
        UnreadableDraft: A field without default is missing, or a value is not of its type.
    """
    if not isinstance(data, Mapping):
        raise UnreadableDraft(f"{at} is not an object")
    values = {}
    for name, read, is_needed in _fields_of(cast("Hashable", kind)):
        if name in data:
            values[name] = read(data[name], f"{at}.{name}")
        elif is_needed:
            raise UnreadableDraft(f"{at}.{name} is missing")
    return kind(**values)


@cache
def _fields_of(kind: Hashable) -> list[tuple[str, Reader, bool]]:
    """Return each field's name, the reader of its values, and whether it has no default."""
    record = cast("type[Any]", kind)
    hints = get_type_hints(record)
    return [
        (
            each.name,
            _reader(hints[each.name]),
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(record)
    ]


def _reader(hint: Any) -> Reader:  # noqa: ANN401 - as declared by the hint
    """Return the function that reads a value of a type hint; made once for each field."""
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (kind,) = (each for each in kinds if each is not NoneType)
        return partial(_optional, _reader(kind))
    if origin is tuple and kinds[-1] is ...:
        return partial(_items, _reader(kinds[0]))
    if origin is tuple:
        return partial(_tuple, [_reader(each) for each in kinds])
    if origin is dict:
        return _numbers
    if is_dataclass(hint):
        return partial(decoded, cast("type[Any]", hint))
    return _SCALARS.get(hint) or partial(_word, hint)


def _optional(read: Reader, value: object, at: str) -> Any:  # noqa: ANN401 - as `read` returns
    return None if value is None else read(value, at)


def _items(read: Reader, value: object, at: str) -> tuple[Any, ...]:
    return tuple(read(item, at) for item in _list(value, at))


def _tuple(readers: Sequence[Reader], value: object, at: str) -> tuple[Any, ...]:
    found = _list(value, at)
    if len(found) != len(readers):
        raise UnreadableDraft(f"{at} does not hold {len(readers)} values")
    return tuple(read(item, at) for read, item in zip(readers, found, strict=True))


def _list(value: object, at: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise UnreadableDraft(f"{at} is not a list")
    return value


def _numbers(value: object, at: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise UnreadableDraft(f"{at} is not an object")
    return {str(key): _number(item, at) for key, item in value.items()}


def _number(value: object, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnreadableDraft(f"{at} is not a number")
    return value


def _integer(value: object, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableDraft(f"{at} is not an integer")
    return value


def _string(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise UnreadableDraft(f"{at} is not a string")
    return value


def _word(kind: type[Any], value: object, at: str) -> Any:  # noqa: ANN401 - of `kind`
    """Return a datetime or StrEnum from a string; the error message does not quote the value."""
    text = _string(value, at)
    try:
        found = datetime.fromisoformat(text) if kind is datetime else kind(text)
    except ValueError:
        expected = "a known value" if issubclass(kind, StrEnum) else "a time"
        raise UnreadableDraft(f"{at} is not {expected}") from None
    if isinstance(found, datetime) and found.tzinfo is None:
        raise UnreadableDraft(f"{at} has no time zone")
    return found


_SCALARS: Final[Mapping[Any, Reader]] = {float: _number, int: _integer, str: _string}
