"""An image for a viewer that applies the window itself: 16-bit values, and how to show them.

Modality LUT, signed stored values and padding are resolved here, so that the viewer needs one table of
65,536 entries: modality value = slope x value + intercept, then VOI LUT or window, then polarity
(PS3.3 C.11.1, C.11.2).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.errors import LimitExceeded
from dicom.pixels.frame import PixelLimits, ValueTable, load_image, looked_up, value_table
from dicom.pixels.lookup_table import LookupTable
from dicom.pixels.rescale import decimals, rescale_of
from dicom.pixels.voi import FULL_RANGE, Voi, items_of, percentile_voi, range_voi

PADDING: Final = 0
_HIGHEST: Final = 2**16 - 1
_LONGEST_TEXT: Final = 64
_MOST_VOIS: Final = 32
_SPACINGS: Final = {
    "ImagerPixelSpacing": "at detector",
    "NominalScannedPixelSpacing": "as scanned",
    "PixelSpacing": "by Pixel Spacing",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DisplayImage:
    """An image for a viewer.

    Attributes:
        values: uint16 [H, W].
        padded: Whether `PADDING` marks pixels that are no part of the image; no other pixel has it.
        description: JSON types, for the viewer (docs/api.md).
    """

    values: NDArray[np.uint16]
    padded: bool
    description: dict[str, Any]


def load_display(path: Path, limits: PixelLimits) -> DisplayImage:
    """Return the image of a file for a viewer.

    Raises:
        InvalidDataset, LimitExceeded, PixelError: As `dicom.pixels.frame.load_frame`.
    """
    try:
        loaded = load_image(path, limits)
        header, stored = loaded.header, loaded.image.values
        table = value_table(header, stored, loaded.image.matrix)
        indices, scale = _indices(header, table)
        values = looked_up(stored, table.lowest, indices)
    except MemoryError:
        raise LimitExceeded("there is not enough memory for the image") from None
    padded = bool(table.padding.any())
    rows, columns = values.shape
    description = {
        "rows": rows,
        "columns": columns,
        **scale,
        "padding": PADDING if padded else None,
        "inverse": table.negative,
        **_vois(header, table),
        **_spacing(header),
        "view": _text(header, "ViewPosition"),
        "laterality": _text(header, "ImageLaterality") or _text(header, "Laterality"),
        "orientation": _orientation(header),
        "warnings": [*loaded.warnings, *table.warnings],
    }
    return DisplayImage(values=values, padded=padded, description=description)


def _indices(header: Dataset, table: ValueTable) -> tuple[NDArray[np.uint16], dict[str, float]]:
    """Return the value in the levels of each stored value, uint16 [N], and slope and intercept.

    If every one of the 65,536 values occurs beside padding, the highest two become one.
    """
    # A Modality LUT has whole entries; a rescale is linear in the stored values.
    whole = bool(items_of(header, "ModalityLUTSequence"))
    numbers = table.modality if whole else np.arange(len(table.modality), dtype=np.float64)
    slope = 1.0 if whole else rescale_of(header).slope
    image = np.flatnonzero(~table.padding)
    first = PADDING + 1 if table.padding.any() else 0
    if not image.size:
        return np.zeros(len(numbers), np.uint16), {"slope": slope, "intercept": 0.0}
    origin = int(image[np.argmin(numbers[image])])
    indices = np.clip(numbers - numbers[origin] + first, first, _HIGHEST).astype(np.uint16)
    indices[table.padding] = PADDING
    intercept = float(table.modality[origin]) - slope * first
    return indices, {"slope": slope, "intercept": intercept}


def _vois(header: Dataset, table: ValueTable) -> dict[str, Any]:
    """Return the VOI transformations, and the number of the one that the image is shown with."""
    offered = list(table.choice.offered[:_MOST_VOIS])
    if table.histogram.counts.any():
        offered.append(percentile_voi(table.histogram))
    offered.append(range_voi(FULL_RANGE, *table.full_range))
    shown = [number for number, voi in enumerate(offered) if voi.name == table.choice.voi.name]
    vois = [{"name": _name(header, voi), **_form(voi)} for voi in offered]
    return {"vois": vois, "shown": shown[0] if shown else len(vois) - 1}


def _name(header: Dataset, voi: Voi) -> str:
    """Return the explanation that the file gives of a VOI transformation, else its own name."""
    own = voi.name[:1].upper() + voi.name[1:]
    if not voi.number:
        return own
    if isinstance(voi.form, LookupTable):
        item = items_of(header, "VOILUTSequence")[voi.number - 1]
        return _text(item, "LUTExplanation") or own
    texts = header.get("WindowCenterWidthExplanation")
    listed = list(texts) if isinstance(texts, MultiValue | list) else [texts]
    given = listed[voi.number - 1] if voi.number <= len(listed) else None
    return str(given or "").strip()[:_LONGEST_TEXT] or own


def _form(voi: Voi) -> dict[str, Any]:
    if isinstance(voi.form, LookupTable):
        table = voi.form
        entries = [int(entry) for entry in table.entries]
        return {"function": "LUT", "first": table.first, "bits": table.bits, "entries": entries}
    window = voi.form
    return {"function": window.function, "center": window.center, "width": window.width}


def _spacing(header: Dataset) -> dict[str, Any]:
    """Return millimeters between rows and between columns, and where they hold (PS3.3 10.7)."""
    for keyword, meaning in _SPACINGS.items():
        values = decimals(header, keyword)
        if len(values) == 2 and all(np.isfinite(each) and each > 0 for each in values):
            return {"spacing": values, "spacing_of": meaning}
    return {"spacing": None, "spacing_of": ""}


def _orientation(header: Dataset) -> list[str] | None:
    """Return the directions of rows and columns ("L", "F"), or None (PS3.3 C.7.6.1.1.1)."""
    value = header.get("PatientOrientation")
    if not isinstance(value, MultiValue | list) or len(value) != 2:
        return None
    directions = [str(each).strip().upper()[:3] for each in value]
    return directions if all(set(each) <= set("LRAPHF") and each for each in directions) else None


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return value.strip()[:_LONGEST_TEXT] if isinstance(value, str) else ""
