"""Pixel Data in its element: offset tables, fragments and what follows them."""

import struct

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1

from dicom.errors import PixelError
from dicom.pixels.frame import load_frame
from tests.dicom.codestreams.codings import IMAGE, LIMITS, encoded_items, lossless, native, save


@pytest.mark.parametrize(
    "offsets", [[0], [0, 8], [16], [16, 32], [0, 1, 2, 3], [4294967295], [0, 4000, 9000]]
)
def test_the_offset_table_does_not_matter(tmp_path, offsets):
    """Number of Frames is 1, so all fragments are the image (PS3.5 A.4)."""
    stream = lossless(IMAGE) + b"\0"
    parts = [stream[at : at + 7000] for at in range(0, len(stream), 7000)]
    table = struct.pack(f"<{len(offsets)}L", *offsets)
    frame = load_frame(
        save(tmp_path / "image.dcm", JPEGLosslessSV1, encoded_items([table, *parts])), LIMITS
    )
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)


def test_an_odd_offset_table_and_an_extended_one_do_not_matter(tmp_path):
    """A table of seven bytes, and an Extended Offset Table that names the first fragment alone."""
    stream = lossless(IMAGE)
    encoded = encoded_items([b"\0" * 7, stream[:5000], stream[5000:]])
    tags = {
        "ExtendedOffsetTable": struct.pack("<Q", 0),
        "ExtendedOffsetTableLengths": struct.pack("<Q", 5000),
    }
    frame = load_frame(save(tmp_path / "image.dcm", JPEGLosslessSV1, encoded, **tags), LIMITS)
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)


@pytest.mark.parametrize(
    "end", [b"", bytes(8), bytes(4), b"\xff" * 16, b"\xfe\xff\xdd\xe0" + b"\xff" * 20]
)
def test_what_follows_the_last_fragment_does_not_matter(tmp_path, end):
    """No delimiter, NULs in its place, or FF bytes behind it: the image is proven whole by itself."""
    path = save(tmp_path / "image.dcm", JPEGLosslessSV1, encapsulate([lossless(IMAGE)]))
    image = path.read_bytes()
    assert image.endswith(b"\xfe\xff\xdd\xe0" + bytes(4))
    path.write_bytes(image[:-8] + end)
    np.testing.assert_array_equal(load_frame(path, LIMITS).pixels, native(tmp_path).pixels)
    path.write_bytes(image[:-200] + end)
    with pytest.raises(PixelError):
        load_frame(path, LIMITS)


def test_bytes_after_native_pixels_do_not_matter(tmp_path):
    """Sixteen FF bytes follow Pixel Data."""
    path = save(tmp_path / "image.dcm", ExplicitVRLittleEndian, IMAGE.tobytes())
    path.write_bytes(path.read_bytes() + b"\xff" * 16)
    np.testing.assert_array_equal(load_frame(path, LIMITS).pixels, native(tmp_path).pixels)


def test_native_pixels_in_items_are_refused(tmp_path):
    """An uncompressed transfer syntax has no fragments."""
    path = save(tmp_path / "image.dcm", JPEG2000Lossless, encoded_items([b"", IMAGE.tobytes()]))
    path.write_bytes(
        path.read_bytes().replace(JPEG2000Lossless.encode(), b"1.2.840.10008.1.2.1\0\0\0")
    )
    with pytest.raises(PixelError, match="uncompressed"):
        load_frame(path, LIMITS)
    items = encoded_items([b"", IMAGE.tobytes()])
    with pytest.raises(PixelError, match="uncompressed"):
        load_frame(save(path, ExplicitVRLittleEndian, items), LIMITS)
