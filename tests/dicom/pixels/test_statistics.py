"""Statistics of images whose values are known."""

import numpy as np
import pytest

from dicom.pixels.display import PADDING
from dicom.pixels.statistics import image_statistics


def test_two_halves():
    """Half black, half white: mean and spread 0.5, one bit of entropy."""
    values = np.zeros((20, 20), np.uint16)
    values[:, 10:] = 65535
    found = image_statistics(values, padded=False)
    assert found["image-mean"] == pytest.approx(0.5)
    assert found["image-spread"] == pytest.approx(0.5)
    assert found["image-entropy"] == pytest.approx(1.0)
    assert (found["image-p1"], found["image-p99"]) == (0.0, 1.0)


def test_a_constant_image_has_no_spread():
    """Nothing is divided by zero."""
    found = image_statistics(np.full((20, 20), 1000, np.uint16), padded=False)
    assert found["image-spread"] == found["image-entropy"] == found["image-sharpness"] == 0


def test_sharpness_of_a_checkerboard_is_that_of_its_laplacian():
    """Each Laplacian is +-4 times the difference: 64 times the variance of the pixels."""
    values = (np.indices((20, 20)).sum(axis=0) % 2 * 1000).astype(np.uint16)
    assert image_statistics(values, padded=False)["image-sharpness"] == pytest.approx(64)


def test_padding_is_no_part_of_the_image():
    """The mean is that of the pixels that are left; too few pixels have no statistics."""
    values = np.full((20, 20), 30_000, np.uint16)
    values[:5] = PADDING
    assert image_statistics(values, padded=True)["image-mean"] == pytest.approx(30_000 / 65_535)
    assert image_statistics(values[:9], padded=True) == {}
