"""The bits of a cell that hold the pixel."""

import jpeg_ls
import numpy as np
import pytest
from openjpeg.utils import encode_array as encode_jpeg2000
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from dicom.pixels.frame import load_frame
from tests.dicom.codestreams.codings import (
    CODINGS,
    IMAGE,
    LIMITS,
    baseline,
    lossless,
    native,
    read,
    rle,
    save,
)


@pytest.mark.parametrize("name", ["lossless-sv1", "jpegls", "j2k", "rle"])
def test_left_justified_pixels_are_shown_right(tmp_path, name):
    """High Bit 15 and Bits Stored 12 in every coding."""
    left = (IMAGE << 4).astype(np.uint16)
    encode = {
        "lossless-sv1": lambda: lossless(left, bits=16),
        "jpegls": lambda: bytes(jpeg_ls.encode_array(left)),
        "j2k": lambda: bytes(encode_jpeg2000(left, photometric_interpretation=2)),
        "rle": lambda: rle(left),
    }[name]
    frame = read(tmp_path, CODINGS[name][0], encode(), HighBit=15)
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)


@pytest.mark.parametrize("name", ["native", "lossless-sv1", "jpegls", "j2k", "rle"])
def test_overlays_in_unused_bits_do_not_show(tmp_path, name):
    """Bit 12, declared as an overlay, is left out without a note; undeclared, with one."""
    drawn = IMAGE.copy()
    drawn[40:80:3, 30:90] |= 0x1000
    encode = {
        "native": drawn.tobytes,
        "lossless-sv1": lambda: lossless(drawn, bits=16),
        "jpegls": lambda: bytes(jpeg_ls.encode_array(drawn)),
        "j2k": lambda: bytes(encode_jpeg2000(drawn, photometric_interpretation=2)),
        "rle": lambda: rle(drawn),
    }[name]
    whole = native(tmp_path).pixels
    for declared in (True, False):
        tags = {"OverlayBitPosition": 12} if declared else {}
        frame = _with_overlay(tmp_path, name, encode(), **tags)
        np.testing.assert_array_equal(frame.pixels, whole)
        assert bool(frame.warnings) != declared


def _with_overlay(tmp_path, name, encoded, **tags):
    if name == "native":
        path = save(tmp_path / "image.dcm", ExplicitVRLittleEndian, encoded)
    else:
        path = save(tmp_path / "image.dcm", CODINGS[name][0], encapsulate([encoded]))
    if tags:
        image = dcmread(path)
        image.add_new(0x60000100, "US", 16)
        image.add_new(0x60000102, "US", tags["OverlayBitPosition"])
        image.save_as(path)
    return load_frame(path, LIMITS)


@pytest.mark.parametrize("name", ["baseline", "lossless", "jpegls", "j2k"])
def test_eight_bits_in_sixteen_allocated_are_read(tmp_path, name):
    """Bits Allocated is 16, Bits Stored 8, and the codestream has samples of 8 bits."""
    eight = (IMAGE >> 4).astype(np.uint8)
    syntax, stream = {
        "baseline": (JPEGBaseline8Bit, lambda: baseline(IMAGE)),
        "lossless": (JPEGLosslessSV1, lambda: lossless(eight, bits=8)),
        "jpegls": (JPEGLSLossless, lambda: bytes(jpeg_ls.encode_array(eight))),
        "j2k": (
            JPEG2000Lossless,
            lambda: bytes(encode_jpeg2000(eight, photometric_interpretation=2)),
        ),
    }[name]
    tags = {"BitsStored": 8, "WindowCenter": "128", "WindowWidth": "256"}
    frame = read(tmp_path, syntax, stream(), **tags)
    whole = native(tmp_path, eight.astype(np.uint16), **tags)
    assert np.abs(frame.pixels - whole.pixels).max() <= (0.06 if name == "baseline" else 0)


@pytest.mark.parametrize("name", ["native", "lossless-sv1", "j2k", "jpegls"])
def test_values_above_bits_stored_are_kept_and_reported(tmp_path, name):
    """An image of 12 bits that declares 10 is shown by its values, with a note."""
    tags = {"BitsStored": 10}
    if name == "native":
        frame = native(tmp_path, **tags)
    else:
        syntax, encode, _ = CODINGS[name]
        frame = read(tmp_path, syntax, encode(), **tags)
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)
    assert "Bits Stored" in frame.warnings[0]


def test_signed_values_have_no_note(tmp_path):
    """The bits above High Bit of a negative value are its sign."""
    signed = (IMAGE.astype(np.int16) - 2048).astype(np.int16)
    tags = {"PixelRepresentation": 1, "WindowCenter": "0"}
    frame = native(tmp_path, signed, **tags)
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)
    assert frame.warnings == ()


def test_signed_values_in_big_endian(tmp_path):
    """The position of the sign follows the byte order of the file."""
    signed = (IMAGE.astype(np.int16) - 2048).astype(">i2")
    tags = {"PixelRepresentation": 1, "WindowCenter": "0"}
    path = save(tmp_path / "big.dcm", ExplicitVRBigEndian, signed.tobytes(), **tags)
    np.testing.assert_array_equal(load_frame(path, LIMITS).pixels, native(tmp_path).pixels)


@pytest.mark.parametrize("bits", [12, 16])
def test_pixels_in_the_lowest_bits_are_read_there(tmp_path, bits):
    """High Bit 15 with Bits Stored 12 is right only where the lowest bits are unused."""
    syntax, encode = JPEGLosslessSV1, lambda: lossless(IMAGE, bits=bits)
    tags = {"HighBit": 15}
    frame = native(tmp_path, **tags)
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)
    assert "High Bit" in frame.warnings[0]
    compressed = read(tmp_path, syntax, encode(), **tags)
    np.testing.assert_array_equal(compressed.pixels, frame.pixels)


def test_a_signed_codestream_of_unsigned_pixels(tmp_path):
    """Shifted down by half of the range, or the same bits: both are shown right."""
    whole = native(tmp_path).pixels
    shifted = (IMAGE.astype(np.int16) - 2048).astype(np.int16)
    stream = bytes(encode_jpeg2000(shifted, bits_stored=12, photometric_interpretation=2))
    frame = read(tmp_path, JPEG2000Lossless, stream)
    np.testing.assert_array_equal(frame.pixels, whole)
    assert "Pixel Representation" in frame.warnings[0]
    same = np.where(IMAGE > 2047, IMAGE.astype(np.int32) - 4096, IMAGE).astype(np.int16)
    stream = bytes(encode_jpeg2000(same, bits_stored=12, photometric_interpretation=2))
    frame = read(tmp_path, JPEG2000Lossless, stream)
    np.testing.assert_array_equal(frame.pixels, whole)
    assert frame.warnings == ()
