"""One film as PNG. Imported when the first film is asked for: decoders make the start slow."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from dicom.errors import LimitExceeded
from dicom.pixels import PixelLimits, load_frame
from service.web.picture import Picture


def draw(picture: Picture, *, max_pixels: int, max_bytes: int) -> bytes:
    """Return the picture as an 8-bit PNG, its longer side at most `picture.size` pixels.

    Args:
        picture: What to draw.
        max_pixels: Rows times columns that may be decoded.
        max_bytes: Decoded bytes that a film may take.

    Raises:
        DicomError: It cannot be decoded under the limits.
        OSError: The file cannot be read.
    """
    if picture.drawn:
        return _encode(_own_pixels(picture, max_pixels), picture.size)
    limits = PixelLimits(max_pixels=max_pixels, max_bytes=max_bytes)
    grey = load_frame(picture.path, limits).pixels * 255 + 0.5
    return _encode(grey.clip(0, 255).astype(np.uint8), picture.size)


def _own_pixels(picture: Picture, max_pixels: int) -> NDArray[np.uint8]:
    """Return uint8 [H, W] or [H, W, 3] of an object that this service made, as it is."""
    capture: Any = dcmread(picture.path)
    if int(capture.Rows) * int(capture.Columns) > max_pixels:
        raise LimitExceeded("the picture is larger than the configured limits")
    pixels: NDArray[np.uint8] = capture.pixel_array.astype(np.uint8)
    return pixels


def _encode(pixels: NDArray[np.uint8], size: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()
