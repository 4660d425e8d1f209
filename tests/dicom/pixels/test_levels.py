"""Levels decode to the pixels that were encoded, and halve by the mean."""

import gzip

import numpy as np
import pytest

from dicom.errors import PixelError
from dicom.phantom import as_dataset, draw, write
from dicom.pixels.display import load_display
from dicom.pixels.frame import PixelLimits, load_frame
from dicom.pixels.levels import display_levels, encoded, halved

LIMITS = PixelLimits(max_pixels=2**22, max_bytes=2**26)


def decoded(body: bytes, rows: int, columns: int) -> np.ndarray:
    """Return the pixels as a browser decodes them: running sums of zigzag coded differences."""
    low, high = np.frombuffer(gzip.decompress(body), np.uint8).reshape(2, rows, columns)
    steps = low.astype(np.int64) | (high.astype(np.int64) << 8)
    return np.cumsum((steps >> 1) ^ -(steps & 1), axis=1) % 2**16


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (300, 7), (513, 64)])
def test_any_pixels_come_back(size):
    """Noise over the full range, whose differences wrap around, is coded without loss."""
    values = np.random.default_rng(1).integers(0, 2**16, size).astype(np.uint16)
    values[0, 0] = 65535
    assert np.array_equal(decoded(encoded(values), *size), values)


def test_halves_are_rounded_means_without_padding():
    """An odd edge counts twice; padding does not darken its neighbors."""
    values = np.array([[0, 0, 8, 8, 5], [0, 0, 0, 9, 5], [3, 4, 0, 0, 7]], np.uint16)
    assert halved(values).tolist() == [[0, 6, 5], [4, 0, 7]]
    assert halved(values, padded=True).tolist() == [[0, 8, 5], [4, 0, 7]]


def test_a_phantom_is_described_and_shown_as_its_frame(tmp_path):
    """Slope, window and polarity of the description give the Frame that the model reads."""
    path = write(as_dataset(draw(3, rows=96, columns=80)), tmp_path / "image.dcm")
    image = load_display(path, LIMITS)
    levels = display_levels(image)
    about = levels.description
    sizes = [(each["rows"], each["columns"]) for each in about["levels"]]
    assert sizes == [(96, 80), (48, 40), (24, 20)]
    values = decoded(levels.bodies[0], 96, 80) * about["slope"] + about["intercept"]
    voi = about["vois"][about["shown"]]
    assert voi["function"] == "LINEAR"
    middle, half = voi["center"] - 0.5, (voi["width"] - 1) / 2
    gray = np.clip((values - middle + half) / (2 * half), 0, 1)
    gray = 1 - gray if about["inverse"] else gray
    assert np.abs(gray - load_frame(path, LIMITS).pixels).max() < 1e-6
    assert about["spacing_of"] == "at detector"


def test_what_has_no_frame_has_no_levels(tmp_path):
    """The same typed error as for the model."""
    dataset = as_dataset(draw(3, rows=96, columns=80))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    with pytest.raises(PixelError):
        load_display(write(dataset, tmp_path / "image.dcm"), LIMITS)
