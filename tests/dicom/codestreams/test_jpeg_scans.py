"""Lossless JPEG: predictors, point transforms, markers and restart intervals."""

import numpy as np
import pytest
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from dicom.errors import PixelError
from tests.dicom.codestreams.codings import IMAGE, lossless, native, read


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("predictor", range(1, 8))
def test_every_predictor_is_read_exactly(tmp_path, predictor, bits):
    """Predictors 1 to 7, 12 and 16 bits, with and without restart intervals of one row."""
    whole = native(tmp_path).pixels
    for restart_rows in (0, 1):
        stream = lossless(IMAGE, predictor=predictor, bits=bits, restart_rows=restart_rows)
        frame = read(tmp_path, JPEGLosslessSV1, stream)
        np.testing.assert_array_equal(frame.pixels, whole)


@pytest.mark.parametrize("shift", [1, 2, 5])
@pytest.mark.parametrize("predictor", [1, 4, 7])
def test_a_point_transform_leaves_out_the_lowest_bits(tmp_path, predictor, shift):
    """Its samples begin with another prediction (ISO/IEC 10918-1 H.1.2.1)."""
    stream = bytearray(lossless(IMAGE >> shift, predictor=predictor, bits=12 - shift))
    stream[stream.index(b"\xff\xc3") + 4] = 12
    stream[stream.index(b"\xff\xda") + 9] = shift
    frame = read(tmp_path, JPEGLossless, bytes(stream))
    np.testing.assert_array_equal(frame.pixels, native(tmp_path, IMAGE >> shift << shift).pixels)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSLossless])
def test_the_codestream_states_how_it_is_coded(tmp_path, syntax):
    """Lossless JPEG under another syntax of the family is read exactly."""
    frame = read(tmp_path, syntax, lossless(IMAGE))
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)


def test_a_missing_end_marker_alone_is_no_damage(tmp_path):
    """All samples are present and checked; with bytes after them the image is refused."""
    stream = lossless(IMAGE)[:-2]
    whole = native(tmp_path).pixels
    for padded in (stream, stream + bytes(len(stream) % 2)):
        np.testing.assert_array_equal(read(tmp_path, JPEGLosslessSV1, padded).pixels, whole)
    for damaged in (stream[:-1], stream[:-1] + b"\0", stream + bytes(3)):
        with pytest.raises(PixelError):
            read(tmp_path, JPEGLosslessSV1, damaged)


def test_a_restart_marker_after_the_last_interval_is_no_damage(tmp_path):
    """Some writers end the last interval like the others."""
    stream = lossless(IMAGE, restart_rows=50)[:-2] + b"\xff\xd2\xff\xd9"
    frame = read(tmp_path, JPEGLossless, stream)
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)


def test_a_missing_restart_interval_is_refused(tmp_path):
    """One of the intervals is lost with its marker."""
    stream = lossless(IMAGE, restart_rows=8)
    first, second = stream.index(b"\xff\xd2"), stream.index(b"\xff\xd3")
    with pytest.raises(PixelError, match="restart interval"):
        read(tmp_path, JPEGLossless, stream[:first] + stream[second:])


@pytest.mark.parametrize("predictor", range(1, 8))
def test_blocks_in_the_wrong_order_are_refused_or_change_little(tmp_path, predictor):
    """No lossless image of 16 bits with two swapped blocks is read with other pixels."""
    stream = lossless(IMAGE, predictor=predictor, bits=16)
    whole = read(tmp_path, JPEGLossless, stream).pixels
    refused = 0
    size = len(stream) // 3
    for begin in range(300, len(stream) - 2 * size - 2, len(stream) // 120):
        middle, end = begin + size, begin + 2 * size
        swapped = stream[:begin] + stream[middle:end] + stream[begin:middle] + stream[end:]
        try:
            frame = read(tmp_path, JPEGLossless, swapped)
        except PixelError:
            refused += 1
            continue
        assert np.abs(frame.pixels - whole).mean() < 0.01
    assert refused > 30
