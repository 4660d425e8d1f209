"""The linear rescale from stored values to modality values (PS3.3 C.11.1), checked."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.errors import PixelError

_NAMES: Final = {"RescaleSlope": "Rescale Slope", "RescaleIntercept": "Rescale Intercept"}
_NEUTRAL: Final = {"RescaleSlope": 1.0, "RescaleIntercept": 0.0}
# No 16-bit stored value, signed or not, has a larger magnitude.
_MOST_STORED: Final = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescale:
    """How stored values become modality values.

    Attributes:
        slope: Finite and not 0.
        intercept: Finite.
        notes: Sentences for the reader.
    """

    slope: float
    intercept: float
    notes: tuple[str, ...] = ()


def rescale_of(header: Dataset) -> Rescale:
    """Return the rescale of an image, the identity if it has none.

    A slope that makes all pixels equal is an error of the writer: slope and intercept are ignored,
    with a note.

    Raises:
        PixelError: Slope or intercept is not finite, has several different values, or gives infinite
            modality values. Ignoring it would apply the image's windows to the wrong values.
    """
    given = {keyword: _value(header, keyword) for keyword in _NAMES}
    values = {key: _NEUTRAL[key] if value is None else value for key, value in given.items()}
    slope, intercept = values["RescaleSlope"], values["RescaleIntercept"]
    if not np.isfinite(abs(slope) * _MOST_STORED + abs(intercept)):
        raise PixelError(
            f"Rescale Slope {slope:g} and Rescale Intercept {intercept:g} of the image give values "
            "that are not finite"
        )
    if slope == 0:
        note = "Rescale Slope is 0 and was ignored."
        return Rescale(slope=1.0, intercept=0.0, notes=(note,))
    if intercept + slope * _MOST_STORED == intercept:
        note = (
            f"Rescale Slope {slope:g} gives all pixels the value of Rescale Intercept "
            f"{intercept:g}; both were ignored."
        )
        return Rescale(slope=1.0, intercept=0.0, notes=(note,))
    return Rescale(slope=slope, intercept=intercept, notes=_assumed(given))


def decimals(header: Dataset, keyword: str) -> list[float]:
    """Return the values of a Decimal String (DS) attribute, NaN for each that is not a number."""
    raw = header.get(keyword)
    values = list(raw) if isinstance(raw, MultiValue | list) else [] if raw is None else [raw]
    return [_decimal(value) for value in values]


def _decimal(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _value(header: Dataset, keyword: str) -> float | None:
    if header.get(keyword) in (None, ""):
        return None
    values = dict.fromkeys(decimals(header, keyword))
    if not values:
        return None
    if len(values) > 1:
        raise PixelError(f"{_NAMES[keyword]} of the image has several values")
    (value,) = values
    if not np.isfinite(value):
        raise PixelError(
            f"{_NAMES[keyword]} of the image is {value:g}, which is not a finite number"
        )
    return value


def _assumed(given: dict[str, float | None]) -> tuple[str, ...]:
    """Return a note if one of the two is absent and the other one changes the values."""
    absent = [key for key, value in given.items() if value is None]
    changes = any(value not in (None, _NEUTRAL[key]) for key, value in given.items())
    if not absent or not changes:
        return ()
    return tuple(f"{_NAMES[key]} is absent; {_NEUTRAL[key]:g} was assumed." for key in absent)
