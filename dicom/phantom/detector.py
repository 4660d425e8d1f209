"""Convert water in the beam's path to stored pixel values: scatter, detector curve, grain, border."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.phantom.body import Body
from dicom.phantom.canvas import BoolField, Canvas, FloatField, resized

_MU: Final = 0.2  # per cm of water at the mean energy of a 120 kV beam
_SCATTER: Final = 0.10  # scattered to primary intensity behind a grid


def exposed(water: FloatField, body: Body) -> FloatField:
    """Return the measured cm of water, float32 [H, W], sharpened; scatter compresses high values."""
    primary = np.exp(-_MU * water)
    rows, columns = water.shape
    small = (max(rows // 24, 8), max(columns // 24, 8))
    through = resized(np.where(water > 1.5, primary, 0.04).astype(np.float32), *small)
    for axis in (0, 1):
        wide = np.pad(through, [(2, 2) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        count = through.shape[axis]
        through = np.mean([wide.take(range(i, i + count), axis=axis) for i in range(5)], axis=0)
    intensity = primary + _SCATTER * resized(through.astype(np.float32), rows, columns)
    measured = -np.log(intensity) / np.float32(_MU)
    return np.asarray(_sharpened(measured, amount=0.6, body=body), dtype=np.float32)


def _sharpened(image: FloatField, *, amount: float, body: Body) -> FloatField:
    """Amplify middle frequencies, as digital radiography does: the difference to a coarse copy."""
    rows, columns = image.shape
    factor = max(1, round(min(rows, columns) * body.placement.zoom / 42))
    coarse = resized(image, max(rows // factor, 4), max(columns // factor, 4))
    return image + np.float32(amount) * (image - resized(coarse, rows, columns))


def developed(measured: FloatField, body: Body) -> FloatField:
    """Return brightness 0..1 (bone white), float32 [H, W], by a sigmoid curve like that of image."""
    steep = (measured - np.float32(body.exposure)) / np.float32(body.latitude)
    return np.asarray(np.float32(body.white) / (1 + np.exp(-steep)), dtype=np.float32)


def grain(shape: tuple[int, int], measured: FloatField, body: Body) -> FloatField:
    """Return quantum and electronic noise in brightness, float32 `shape`; stronger where denser."""
    rng = np.random.default_rng([body.seed, 8])
    white = rng.standard_normal(shape, dtype=np.float32)
    # A real detector's grain is slightly correlated between adjacent pixels.
    white += np.roll(white, 1, axis=0) * np.float32(0.5)
    white += np.roll(white, 1, axis=1) * np.float32(0.5)
    # In a smaller matrix each pixel collects more quanta.
    size = min(1.0, min(shape) / 2000) ** 0.5
    strength = np.clip(np.exp(np.float32(0.5 * _MU) * (measured - 12)), 0.5, 1.6)
    return np.asarray(white * strength * np.float32(0.0045 * body.noise * size), dtype=np.float32)


def collimated(body: Body, canvas: Canvas) -> BoolField | None:
    """Return bool [H, W], True where the collimator hides the image, or None if it hides nothing."""
    left, right, top, bottom = (round(part * canvas.scale) for part in body.collimation)
    if not any((left, right, top, bottom)):
        return None
    hidden = np.ones((canvas.rows, canvas.columns), np.bool_)
    hidden[top : canvas.rows - bottom, left : canvas.columns - right] = False
    return hidden


def stored(brightness: FloatField, bits_stored: int) -> NDArray[np.uint16]:
    """Return brightness 0..1 as uint16 [H, W] with `bits_stored` significant bits."""
    top = (1 << bits_stored) - 1
    return np.asarray(np.clip(np.rint(brightness * top), 0, top), dtype=np.uint16)


def marker(canvas: Canvas) -> FloatField:
    """Return a lead letter L in the upper corner on the patient's left, float32 [H, W] in 0..1."""
    (right, low) = canvas.locate(canvas.columns - 0.06 * canvas.scale, 0.10 * canvas.scale)
    layer = canvas.layer()
    corner = (right - 0.02, low)
    layer.stroke([(corner[0], low - 0.04), corner, (right, low)], 0.008, 1.0)
    return layer.field(0.0006)
