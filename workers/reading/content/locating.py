"""Turns a heat map into a region of the image, or finds that none may be shown. Pure.

A region is shown only if it is plausible: the heat has one clear peak, the peak lies in the body, the
region is not too large, and it lies on the side that the text states.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import ConvexHull

from dicom.content.report import Region, Side
from workers.model.vlm import HeatMap

_FINE: Final = 128  # cells along an edge of the resized map that gives the outline
_GRAIN: Final = 0.06  # of a patch's edge: standard deviation that smooths single pixels
_NEAR: Final = 1 / 3  # of a patch's edge: standard deviation of the weight around the center
_LEVEL: Final = 0.5  # of the peak: warmer cells belong to the region
_FLAT: Final = 2.0  # times the mean: a lower maximum is no peak
_LARGEST: Final = 0.35  # of the square's area
_CENTRAL: Final = 0.06  # of the image's width: so near the middle, a place is on both sides
_THUMB: Final = 64  # pixels, at least, of the shorter edge when the body is searched
_DARK: Final = 0.06  # of the highest brightness: air beside the body, and the collimator's border


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the model saw a finding.

    Attributes:
        peak: (column, row) of the warmest place in pixels of the image; None if there is none.
        region: Outline around the peak; None if none may be shown.
        contradicts: Whether the heat lies on the other side than the text states.
    """

    peak: tuple[float, float] | None = None
    region: Region | None = None
    contradicts: bool = False


@dataclass(frozen=True, slots=True)
class Square:
    """The central square of an image, in its pixels: the part that the models see."""

    left: float
    top: float
    edge: float

    def on_image(self, column: float, row: float) -> tuple[float, float]:
        """Return (column, row) in the image of a place given as fractions of the square's edge."""
        return self.left + column * self.edge, self.top + row * self.edge


def central_square(rows: int, columns: int) -> Square:
    """Return the square that `workers.model.preprocess.center_square` crops from an image."""
    edge = min(rows, columns)
    return Square((columns - edge) / 2, (rows - edge) / 2, edge)


def locate(heat: HeatMap, frame: NDArray[np.float32], side: Side | None = None) -> Spot:
    """Return where the model saw a finding.

    Args:
        heat: Heat over the central square of the image.
        frame: float32 [rows, columns] in 0..1, 0 black; the patient's right side is on the left.
        side: The side that the text states, or None.
    """
    fine = _finer(heat.cells, _FINE)
    row, column = (int(i) for i in np.unravel_index(int(fine.argmax()), fine.shape))
    square = central_square(*frame.shape)
    if fine[row, column] <= 0:
        return Spot()
    peak = square.on_image(*_peak(heat))
    if fine[row, column] < _FLAT * fine.mean() or not in_body(frame, peak):
        return Spot(peak=peak)
    warm, _ = ndimage.label(fine >= _LEVEL * fine[row, column])  # type: ignore[attr-defined] # untyped
    mask = warm == warm[row, column]
    if mask.mean() > _LARGEST:
        return Spot(peak=peak)
    region = Region(points=_outline(mask, square), peak=peak)
    across = sum(x for x, _ in region.points[:-1]) / (len(region.points) - 1) / frame.shape[1]
    if _elsewhere(across, side):
        return Spot(peak=peak, contradicts=True)
    return Spot(peak=peak, region=region)


def in_body(frame: NDArray[np.float32], point: tuple[float, float]) -> bool:
    """Return whether a place lies in the body: not in a dark area that reaches the image's border.

    Args:
        frame: float32 [rows, columns] in 0..1, 0 black.
        point: (column, row).
    """
    step = max(1, min(frame.shape) // _THUMB)
    small = frame[::step, ::step]
    dark, _ = ndimage.label(small <= _DARK * float(small.max()))  # type: ignore[attr-defined] # untyped
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    column, row = (int(value) // step for value in point)
    here = dark[min(row, small.shape[0] - 1), min(column, small.shape[1] - 1)]
    return bool(here == 0 or here not in border)


def _finer(
    heat: NDArray[np.float32], size: int, how: Image.Resampling = Image.Resampling.BICUBIC
) -> NDArray[np.float32]:
    """Return the map interpolated to float32 [size, size]."""
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((size, size), how), np.float32)


def _peak(heat: HeatMap) -> tuple[float, float]:
    """Return the peak as fractions of the edge: the pixel near the center most in favor of yes."""
    column, row = _center(heat.cells)
    if heat.detail is None:
        return column, row
    size = len(heat.detail)
    patch = size / len(heat.cells)
    rows, columns = np.indices(heat.detail.shape) + 0.5
    away = (columns - column * size) ** 2 + (rows - row * size) ** 2
    support = ndimage.gaussian_filter(heat.detail, _GRAIN * patch)  # type: ignore[attr-defined] # untyped
    warm = _finer(heat.cells, size, Image.Resampling.BILINEAR)
    near = support.clip(min=0) * warm * np.exp(-away / (2 * (_NEAR * patch) ** 2))
    if not near.max() > 0:
        return column, row
    down, across = np.unravel_index(int(near.argmax()), near.shape)
    return (int(across) + 0.5) / size, (int(down) + 0.5) / size


def _center(heat: NDArray[np.float32]) -> tuple[float, float]:
    """Return the heat's center of mass in and around its warmest cell, as fractions of the edge.

    A cell covers a whole patch: a finding on the border of two patches warms both cells.
    """
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    rows, columns = np.indices(heat.shape)
    near = heat * ((abs(rows - row) <= 1) & (abs(columns - column) <= 1))
    edge, total = len(heat), float(near.sum())
    across, down = float((columns * near).sum()) / total, float((rows * near).sum()) / total
    return (across + 0.5) / edge, (down + 0.5) / edge


def _outline(mask: NDArray[np.bool_], square: Square) -> tuple[tuple[float, float], ...]:
    """Return the convex outline of the cells in `mask`, closed."""
    rows, columns = np.nonzero(mask)
    corners = np.concatenate(
        [np.stack([columns + right, rows + down], axis=1) for right in (0, 1) for down in (0, 1)]
    )
    hull = corners[ConvexHull(corners).vertices] / _FINE
    points = tuple(square.on_image(float(x), float(y)) for x, y in hull)
    return (*points, points[0])


def _elsewhere(across: float, side: Side | None) -> bool:
    """Return whether a place, as a fraction of the image's width, is clearly not on `side`."""
    if side is None or side is Side.BILATERAL or math.isclose(across, 0.5, abs_tol=_CENTRAL):
        return False
    return (across < 0.5) != (side is Side.RIGHT)
