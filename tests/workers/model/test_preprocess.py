"""Frames as inputs of vision towers, against their definitions."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from workers.model.errors import GenerationError
from workers.model.preprocess import (
    center_square,
    clip_pixel_values,
    color_pixel_values,
    gray_image,
    pixel_values,
)


def test_a_frame_is_rounded_to_eight_bits():
    """Values outside of 0..1 are clipped; halves go to the even level."""
    frame = np.array([[-1.0, 0.0, 0.5 / 255], [1.5 / 255, 0.5, 2.0]], np.float32)
    assert np.asarray(gray_image(frame)).tolist() == [[0, 0, 0], [2, 128, 255]]


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((0, 5), np.float32),
        np.zeros((2, 2, 3), np.float32),
        np.full((4, 4), np.nan, np.float32),
        np.zeros((2, 40), np.float32),
    ],
)
def test_what_is_no_image_is_refused(frame):
    """Empty, of color, not finite, or a strip."""
    with pytest.raises(GenerationError):
        gray_image(frame)


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (20, 20)])
def test_the_central_square_is_taken(size):
    """The middle of the longer edge."""
    image = Image.new("L", size)
    image.paste(255, (size[0] // 2 - 5, size[1] // 2 - 5, size[0] // 2 + 5, size[1] // 2 + 5))
    square = np.asarray(center_square(image, 20))
    assert square.shape == (20, 20)
    assert square[6:14, 6:14].min() == 255
    assert square[0, 0] == 0


def test_normalization():
    """(gray - mean) / std, one channel or three."""
    image = Image.new("L", (8, 8), 51)
    found = pixel_values(image, SimpleNamespace(image_size=8, mean=0.5, std=0.25))
    assert (found.shape, found.dtype) == ((1, 1, 8, 8), np.float32)
    assert found == pytest.approx(np.float32((0.2 - 0.5) / 0.25))
    color = color_pixel_values(image, 8, 0.5, 0.25)
    assert color.shape == (1, 3, 8, 8)
    assert np.array_equal(color[:, :1], found)
    clip = clip_pixel_values(image, 8)[0, :, 0, 0]
    means, deviations = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = [(0.2 - mean) / one for mean, one in zip(means, deviations, strict=True)]
    assert clip == pytest.approx(expected, abs=1e-6)
