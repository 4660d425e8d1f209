"""Records as JSON types: times in ISO 8601, tuples as lists, enums as their values."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - walks any record
    """Return a value of `dataclasses.asdict` as JSON types."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
