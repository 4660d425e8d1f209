"""From a film to the numbers that the vision tower was trained on, bit for bit as its authors did."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.model.config import VisionConfig
from workers.model.errors import GenerationError

# A strip that is longer than this, in widths, is no radiograph; resizing it would fill the memory.
MAX_ASPECT: Final = 16


def grey_image(frame: NDArray[np.float32]) -> Image.Image:
    """Return a frame as an 8-bit grey image: the one place where it is rounded.

    Args:
        frame: float32 [H, W] in 0..1, 0 black; values outside are clipped.

    Raises:
        GenerationError: It is empty, not two-dimensional, holds NaN or is a strip.
    """
    if frame.ndim != 2 or not frame.size or not np.isfinite(frame).all():
        raise GenerationError("a film must be a two-dimensional array of finite numbers")
    if max(frame.shape) > MAX_ASPECT * min(frame.shape):
        raise GenerationError(f"a film of {frame.shape[1]} x {frame.shape[0]} pixels is too narrow")
    return Image.fromarray(np.rint(np.clip(frame, 0.0, 1.0) * 255.0).astype(np.uint8))


def centre_square(
    image: Image.Image, size: int, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    """Return the central square of `image`, `size` x `size` pixels.

    The shortest edge becomes `size`, the longer edge is truncated to whole pixels, the centre is
    cropped with floor offsets. What lies outside the square is not seen.
    """
    short, long = min(image.size), max(image.size)
    stretched = int(size * long / short)
    width, height = (size, stretched) if image.width <= image.height else (stretched, size)
    resized = image.resize((width, height), resample)
    left, top = (width - size) // 2, (height - size) // 2
    return resized.crop((left, top, left + size, top + size))


def pixel_values(image: Image.Image, config: VisionConfig) -> NDArray[np.float32]:
    """Return the central square of `image`, resized by LANCZOS on 8 bits and normalised.

    Args:
        image: 8 bits a channel, any mode; colour becomes ITU-R 601 luma.
        config: Size, mean and standard deviation.

    Returns:
        float32 [1, 1, S, S], (grey in 0..1 - mean) / std.
    """
    square = np.asarray(centre_square(image.convert("L"), config.image_size))
    # The factor is applied in double precision and only then stored, as the reference does.
    unit = (square.astype(np.float64) * (1 / 255)).astype(np.float32)
    return ((unit - np.float32(config.mean)) / np.float32(config.std))[None, None]
