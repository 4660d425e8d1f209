"""Decode the JSON of a stored draft into records by their type hints; unknown fields are ignored.

Another version may have written the draft. An unknown field is ignored, because the known fields are
true without it. An unknown value or a value of the wrong type is an error, because a finding that was
left out could be the important one.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from dicom.errors import UnreadableDraft

T = TypeVar("T")


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
    for name, hint, is_needed in _fields_of(cast("Hashable", kind)):
        if name in data:
            values[name] = _value(hint, data[name], f"{at}.{name}")
        elif is_needed:
            raise UnreadableDraft(f"{at}.{name} is missing")
    return kind(**values)


@cache
def _fields_of(kind: Hashable) -> list[tuple[str, Any, bool]]:
    """Return each field's name, type hint, and whether it has no default."""
    record = cast("type[Any]", kind)
    hints = get_type_hints(record)
    return [
        (each.name, hints[each.name], each.default is MISSING and each.default_factory is MISSING)
        for each in fields(record)
    ]


def _value(hint: Any, value: object, at: str) -> Any:  # noqa: ANN401 - as declared by the hint
    origin = get_origin(hint)
    if origin is UnionType:
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
        return None if value is None else _value(hint, value, at)
    if origin is tuple:
        return _tuple(get_args(hint), value, at)
    if origin is dict:
        return _numbers(value, at)
    if is_dataclass(hint):
        return decoded(cast("type[Any]", hint), value, at)
    return _scalar(hint, value, at)


def _tuple(kinds: tuple[Any, ...], value: object, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise UnreadableDraft(f"{at} is not a list")
    if kinds[-1] is ...:
        return tuple(_value(kinds[0], item, at) for item in value)
    if len(value) != len(kinds):
        raise UnreadableDraft(f"{at} does not hold {len(kinds)} values")
    return tuple(_value(kind, item, at) for kind, item in zip(kinds, value, strict=True))


def _numbers(value: object, at: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise UnreadableDraft(f"{at} is not an object")
    return {str(key): _number(item, at) for key, item in value.items()}


def _scalar(kind: Any, value: object, at: str) -> Any:  # noqa: ANN401 - of `kind`
    if kind is float:
        return _number(value, at)
    return _integer(value, at) if kind is int else _word(kind, value, at)


def _number(value: object, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnreadableDraft(f"{at} is not a number")
    return value


def _integer(value: object, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableDraft(f"{at} is not an integer")
    return value


def _word(kind: type[Any], value: object, at: str) -> Any:  # noqa: ANN401 - of `kind`
    """Return a str, datetime or StrEnum from a string; the error message does not quote the value."""
    if not isinstance(value, str):
        raise UnreadableDraft(f"{at} is not a string")
    if kind is str:
        return value
    try:
        found = datetime.fromisoformat(value) if kind is datetime else kind(value)
    except ValueError:
        expected = "a known value" if issubclass(kind, StrEnum) else "a time"
        raise UnreadableDraft(f"{at} is not {expected}") from None
    if isinstance(found, datetime) and found.tzinfo is None:
        raise UnreadableDraft(f"{at} has no time zone")
    return found
