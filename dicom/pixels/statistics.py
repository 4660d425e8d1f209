"""Statistics of an image that show whether a device or its processing changed."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.pixels.display import PADDING

_HIGHEST: Final = 2**16 - 1
_BINS: Final = 256
_FEWEST_PIXELS: Final = 100


def image_statistics(values: NDArray[np.uint16], *, padded: bool) -> dict[str, float]:
    """Return mean, spread, percentiles, entropy and sharpness of an image.

    Args:
        values: uint16 [H, W], a level for viewers (`dicom.pixels.display`).
        padded: Whether `PADDING` marks pixels that are no part of the image.

    Returns:
        Values in 0..1 of the full range: `image-mean`, `image-spread` (standard deviation), `image-p1`,
        `image-p50`, `image-p99`; `image-entropy` in bits over 256 bins; `image-sharpness`, the variance
        of the Laplacian over that of the pixels. {} if the image has fewer than 100 pixels.
    """
    pixels = values[values != PADDING] if padded else values.ravel()
    if pixels.size < _FEWEST_PIXELS:
        return {}
    low, middle, high = np.percentile(pixels, (1, 50, 99))
    counts = np.bincount(pixels >> 8, minlength=_BINS)
    shares = counts[counts > 0] / pixels.size
    variance = float(pixels.var())
    return {
        "image-mean": float(pixels.mean()) / _HIGHEST,
        "image-spread": variance**0.5 / _HIGHEST,
        "image-p1": float(low) / _HIGHEST,
        "image-p50": float(middle) / _HIGHEST,
        "image-p99": float(high) / _HIGHEST,
        "image-entropy": float(-(shares * np.log2(shares)).sum()),
        "image-sharpness": _laplacian_variance(values) / variance if variance else 0.0,
    }


def _laplacian_variance(values: NDArray[np.uint16]) -> float:
    if min(values.shape) < 3:
        return 0.0
    image = values.astype(np.float32)
    middle = 4 * image[1:-1, 1:-1]
    around = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    return float((middle - around).var())
