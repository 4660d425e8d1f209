"""Metrics as JSON text that is byte-identical for the same inputs and seed.

Keys sorted, numbers with six digits after the point, a figure without a value as
{"undefined": "<reason>"}. NaN and infinity are refused: neither is JSON, nor a figure.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Final

import numpy as np

from service.evaluation.values import EvaluationInputError, Undefined

DIGITS: Final = 6

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def metrics_json(metrics: object) -> str:
    """Return metrics as JSON text with a line feed at its end.

    Args:
        metrics: Mappings with text keys, sequences, arrays, the records of this package, numbers, text,
            None.

    Raises:
        EvaluationInputError: A value is not finite, or of another type; the message states where.
    """
    return json.dumps(_plain(metrics, "metrics"), indent=1, sort_keys=True, allow_nan=False) + "\n"


def _plain(value: object, where: str) -> Json:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    return _rounded(value, where) if isinstance(value, float) else _compound(value, where)


def _compound(value: object, where: str) -> Json:
    if isinstance(value, Undefined):
        return {"undefined": value.reason.value}
    if is_dataclass(value):
        return {
            each.name: _plain(getattr(value, each.name), f"{where}.{each.name}")
            for each in fields(value)
        }
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{place}]") for place, each in enumerate(value)]
    raise EvaluationInputError(f"{where}: a {type(value).__name__} has no place in metrics")


def _rounded(value: float, where: str) -> float:
    if not isfinite(value):
        raise EvaluationInputError(f"{where} is {value}: a figure without a value is an Undefined")
    return round(value, DIGITS) + 0.0  # -0.0 and 0.0 are one figure


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return str(key)
    raise EvaluationInputError(f"{where}: the key {key!r} is not text")
