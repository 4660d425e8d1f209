"""Images as PNG. Imported at the first request for an image, because the decoders slow the start."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import dcmread

from dicom.decoding.pool import PROGRAM, Decoders
from dicom.drawing.text_layout import fit_size, font
from dicom.errors import InvalidDataset, LimitExceeded
from dicom.pixels.frame import PixelLimits
from service.web.images.picture import Picture

_STAMP: Final = (160, 20, 16)


class PngRenderer:
    """Renders images; received ones are decoded in child processes. Thread-safe."""

    def __init__(
        self,
        *,
        max_pixels: int,
        max_bytes: int,
        at_once: int,
        seconds: float,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Start the decoder processes.

        Args:
            max_pixels: Limit of Rows times Columns.
            max_bytes: Limit of the decoded size of an image, in bytes.
            at_once: Number of images that are decoded at the same time.
            seconds: Time limit for decoding one image.
            program: Command that runs `dicom.decoding.child.main`.

        Raises:
            OSError: No process can be started.
        """
        self._limits = PixelLimits(max_pixels=max_pixels, max_bytes=max_bytes)
        self._decoders = Decoders(
            at_once=at_once, seconds=seconds, max_pixels=max_pixels, program=program
        )

    def draw(self, picture: Picture) -> bytes:
        """Return the picture as an 8-bit PNG, its longer side at most `picture.size` pixels.

        Raises:
            DicomError: The image cannot be decoded under the limits.
            OSError: The file cannot be read.
        """
        if picture.sha256:
            own = _own_pixels(picture, self._limits.max_pixels)
            return _encode(_stamped(own, picture.stamp), picture.size)
        looked = self._decoders.examine(picture.path, self._limits)
        gray = looked.frame.pixels * 255 + 0.5
        return _encode(gray.clip(0, 255).astype(np.uint8), picture.size)

    def levels(self, path: Path) -> bytes:
        """Return the content of the file of levels of a received image (`dicom.spool.levels_file`).

        Raises:
            DicomError: The image cannot be decoded under the limits.
            OSError: The file cannot be read.
        """
        return self._decoders.levels(path, self._limits)

    def close(self) -> None:
        """End the decoder processes; abandon the images that are being decoded."""
        self._decoders.close()


def _own_pixels(picture: Picture, max_pixels: int) -> NDArray[np.uint8]:
    """Return the stored pixels of an object that this service made, as uint8 [H, W] or [H, W, 3].

    It is decoded in this process: the digest shows that its bytes are those that our encoder wrote.

    Raises:
        InvalidDataset: The file does not match its digest.
        LimitExceeded: The image has more than `max_pixels` pixels.
    """
    content = picture.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise InvalidDataset("the file has changed since it was written")
    capture: Any = dcmread(io.BytesIO(content))
    if int(capture.Rows) * int(capture.Columns) > max_pixels:
        raise LimitExceeded("the image is larger than the configured limits")
    pixels: NDArray[np.uint8] = capture.pixel_array.astype(np.uint8)
    return pixels


def _stamped(pixels: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Return the image with a red band added above it that holds `text`; no pixel is covered."""
    if not text:
        return pixels
    picture = Image.fromarray(pixels).convert("RGB")
    height = max(24, picture.width // 10)
    image = Image.new("RGB", (picture.width, picture.height + height), _STAMP)
    image.paste(picture, (0, height))
    pen = ImageDraw.Draw(image)
    size = fit_size((text,), round(image.width * 0.94), round(height * 0.7), bold=True)
    font(size, bold=True).draw(pen, (image.width / 2, height / 2), text, (255, 255, 255), "mm")
    return np.asarray(image)


def _encode(pixels: NDArray[np.uint8], size: int) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()
