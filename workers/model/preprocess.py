"""Turns a frame into the vision tower's input, bit for bit as the model's authors did."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.model.config import VisionConfig
from workers.model.errors import GenerationError

# Length / width; a longer strip is no radiograph, and resizing it would exhaust the memory.
MAX_ASPECT: Final = 16
# Red, green, blue: OpenAI's CLIP.
_CLIP_MEAN: Final = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
_CLIP_STD: Final = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)


def gray_image(frame: NDArray[np.float32]) -> Image.Image:
    """Return a frame as an 8-bit gray image: the only step that rounds it.

    Args:
        frame: float32 [H, W] in 0..1, 0 black; values outside are clipped.

    Raises:
        GenerationError: It is empty, not two-dimensional, holds NaN or is a strip.
    """
    if frame.ndim != 2 or not frame.size or not np.isfinite(frame).all():
        raise GenerationError("an image must be a two-dimensional array of finite numbers")
    if max(frame.shape) > MAX_ASPECT * min(frame.shape):
        raise GenerationError(
            f"an image of {frame.shape[1]} x {frame.shape[0]} pixels is too narrow"
        )
    return Image.fromarray(np.rint(np.clip(frame, 0.0, 1.0) * 255.0).astype(np.uint8))


def center_square(
    image: Image.Image,
    size: int,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
    half: Callable[[float], int] = math.floor,
) -> Image.Image:
    """Return the central square of `image`, `size` x `size` pixels.

    The shorter edge becomes `size`, the longer edge is truncated to whole pixels, and the center is
    cropped; pixels outside the square are dropped.

    Args:
        image: Of any size.
        size: Edge in pixels.
        resample: How it is resized.
        half: Rounds an offset of half a pixel: `math.floor`, or `round` (to the even pixel).
    """
    short, long = min(image.size), max(image.size)
    stretched = int(size * long / short)
    width, height = (size, stretched) if image.width <= image.height else (stretched, size)
    resized = image.resize((width, height), resample)
    left, top = half((width - size) / 2), half((height - size) / 2)
    return resized.crop((left, top, left + size, top + size))


def pixel_values(image: Image.Image, config: VisionConfig) -> NDArray[np.float32]:
    """Return the central square of `image`, resized by LANCZOS on 8 bits and normalized.

    Args:
        image: 8 bits a channel, any mode; color becomes ITU-R 601 luma.
        config: Size, mean and standard deviation.

    Returns:
        float32 [1, 1, S, S], (gray in 0..1 - mean) / std.
    """
    square = np.asarray(center_square(image.convert("L"), config.image_size))
    return _normalized(square, config.mean, config.std)[None, None]


def color_pixel_values(
    image: Image.Image, size: int, mean: float, std: float
) -> NDArray[np.float32]:
    """Return the same as `pixel_values` for a color image, float32 [1, 3, S, S]."""
    square = np.asarray(center_square(image.convert("RGB"), size))
    return np.ascontiguousarray(_normalized(square, mean, std).transpose(2, 0, 1)[None])


def _normalized(square: NDArray[np.uint8], mean: float, std: float) -> NDArray[np.float32]:
    # Multiplied in float64 and only then rounded to float32, as the reference does.
    unit = (square.astype(np.float64) * (1 / 255)).astype(np.float32)
    normal: NDArray[np.float32] = (unit - np.float32(mean)) / np.float32(std)
    return normal


def clip_pixel_values(image: Image.Image, size: int) -> NDArray[np.float32]:
    """Return the central square of `image`, resized by BICUBIC on 8 bits and normalized as for CLIP.

    Args:
        image: 8 bits a channel, any mode; gray becomes three equal channels.
        size: Edge in pixels.

    Returns:
        float32 [1, 3, S, S], (color in 0..1 - mean) / std of each channel.
    """
    square = center_square(image.convert("RGB"), size, Image.Resampling.BICUBIC, round)
    unit = np.asarray(square).astype(np.float32) / np.float32(255)  # [S, S, 3]
    normal = (unit - _CLIP_MEAN) / _CLIP_STD
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)
