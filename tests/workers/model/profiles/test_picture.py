"""The image as a profile sends it."""

import numpy as np
import pytest

from workers.model import preprocess
from workers.model.profiles.picture import image_sent
from workers.model.profiles.profile import Image

FRAME = np.linspace(0, 1, 60 * 90, dtype=np.float32).reshape(60, 90)
BRIGHT = np.ones((40, 80), dtype=np.float32)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(64, 64), (96, 32)])
def test_the_image_has_the_size_and_mode_of_the_profile(mode, fit, size):
    """Every fit gives exactly the size, for square and other shapes."""
    image = image_sent(FRAME, Image(mode=mode, width=size[0], height=size[1], fit=fit))
    assert (image.size, image.mode) == (size, mode)


def test_padding_keeps_the_whole_image_and_its_shape():
    """A 2:1 image in a square stands in the middle, with background above and below."""
    image = np.asarray(image_sent(BRIGHT, Image(mode="L", width=64, height=64, background=7)))
    assert (image[:16] == 7).all()
    assert (image[48:] == 7).all()
    assert (image[16:48] == 255).all()


def test_cropping_to_a_square_equals_the_built_in_models():
    """The same pixels as `preprocess.center_square`, which equals the authors' code."""
    form = Image(mode="L", width=48, height=48, fit="crop", resample="lanczos")
    expected = preprocess.center_square(preprocess.gray_image(FRAME), 48)
    assert np.array_equal(np.asarray(image_sent(FRAME, form)), np.asarray(expected))


def test_without_a_size_the_image_keeps_its_own_up_to_a_bound():
    """Small images stay as they are, large ones are reduced to the longest edge."""
    assert image_sent(FRAME, Image(mode="L")).size == (90, 60)
    assert image_sent(FRAME, Image(mode="L", longest_edge=45)).size == (45, 30)
