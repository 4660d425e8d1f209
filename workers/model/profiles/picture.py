"""The image as a profile sends it: size, mode and fit."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.model import preprocess
from workers.model.profiles.profile import Image as ImageForm

_FILTERS: Final = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def image_sent(frame: NDArray[np.float32], form: ImageForm) -> Image.Image:
    """Return a frame as the image that the model gets.

    Args:
        frame: float32 [H, W] in 0..1, 0 black.
        form: Mode, size and fit.

    Raises:
        GenerationError: The frame is not an image; see `preprocess.gray_image`.
    """
    gray = preprocess.gray_image(frame)
    return _sized(gray, form).convert(form.mode)


def _sized(gray: Image.Image, form: ImageForm) -> Image.Image:
    resample = _FILTERS[form.resample]
    if form.size is None:
        return _reduced(gray, form.longest_edge, resample)
    if form.fit == "stretch":
        return gray.resize(form.size, resample)
    if form.fit == "crop" and form.width == form.height:
        return preprocess.center_square(gray, form.size[0], resample)
    edges = (form.size[0] / gray.width, form.size[1] / gray.height)
    scale = max(edges) if form.fit == "crop" else min(edges)
    resized = gray.resize(
        (max(1, round(gray.width * scale)), max(1, round(gray.height * scale))), resample
    )
    canvas = Image.new("L", form.size, form.background)
    left, top = (form.size[0] - resized.width) // 2, (form.size[1] - resized.height) // 2
    canvas.paste(resized, (left, top))
    return canvas


def _reduced(gray: Image.Image, longest: int, resample: Image.Resampling) -> Image.Image:
    scale = longest / max(gray.size)
    if scale >= 1:
        return gray
    size = max(1, round(gray.width * scale)), max(1, round(gray.height * scale))
    return gray.resize(size, resample)
