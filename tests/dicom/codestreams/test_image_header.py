"""What a codestream declares, from headers written by hand."""

import struct

import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from dicom.codestreams.image_header import Coding, after_fill, jpeg2000_start, read_codestream
from dicom.errors import PixelError


def jpeg(marker=0xC3, *, rows=40, columns=30, bits=12, components=1, before=b""):
    """Return the beginning of a JPEG codestream."""
    frame = struct.pack(">HBHHB", 8 + 3 * components, bits, rows, columns, components)
    return b"\xff\xd8" + before + bytes([0xFF, marker]) + frame + bytes(3 * components)


def wavelet(*, rows=40, columns=30, bits=12, signed=False, components=1):
    """Return the beginning of a JPEG 2000 codestream whose image begins at (2, 1) of its grid."""
    sizes = struct.pack(">8L", columns + 2, rows + 1, 2, 1, columns + 2, rows + 1, 0, 0)
    precision = (bits - 1) | (0x80 if signed else 0)
    part = struct.pack(">HB2B", components, precision, 1, 1)
    return b"\xff\x4f\xff\x51" + struct.pack(">HH", 41, 0) + sizes + part


def declared(frame, syntax=JPEGLosslessSV1, *, rows=40, columns=30, bits_allocated=16):
    """Return what a codestream declares."""
    return read_codestream(frame, syntax, rows=rows, columns=columns, bits_allocated=bits_allocated)


@pytest.mark.parametrize(
    ("marker", "coding"),
    [
        (0xC0, Coding.SEQUENTIAL),
        (0xC1, Coding.SEQUENTIAL),
        (0xC2, Coding.PROGRESSIVE),
        (0xC3, Coding.LOSSLESS),
        (0xF7, Coding.JPEG_LS),
    ],
)
def test_the_frame_marker_selects_the_coding(marker, coding):
    """The frame header, not the transfer syntax, states how the image is coded."""
    found = declared(jpeg(marker))
    assert (found.coding, found.bits, found.signed) == (coding, 12, False)


@pytest.mark.parametrize("marker", [0xC5, 0xC9, 0xCB, 0xCF])
def test_other_processes_are_refused(marker):
    """Hierarchical and arithmetic codings are not DICOM's."""
    with pytest.raises(PixelError, match=f"SOF{marker & 15}"):
        declared(jpeg(marker))


def test_segments_and_fill_bytes_before_the_frame_header_are_passed():
    """An application segment whose content looks like a frame header is not one."""
    inner = jpeg(0xC0, rows=1, columns=1)[2:]
    segment = b"\xff\xe0" + struct.pack(">H", 2 + len(inner)) + inner
    assert declared(jpeg(before=segment + b"\xff\xff\xff")).rows == 40
    assert after_fill(b"\xff\xff\xff\xc0", 0) == 2


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (jpeg(rows=41), "41 x 30 pixels, the header says 40 x 30"),
        (jpeg(components=3), "3 color components"),
        (jpeg(bits=17), "17 bits in 16"),
        (b"\xff\xd8\xff\xc3\x00", "no readable frame header"),
        (b"\xff\xd8\x00\x00", "no readable frame header"),
        (b"GIF89a", "not a JPEG codestream"),
    ],
)
def test_a_contradiction_to_the_header_is_refused(frame, problem):
    """The message says what the codestream declares."""
    with pytest.raises(PixelError, match=problem):
        declared(frame)


@pytest.mark.parametrize("signed", [True, False])
def test_a_wavelet_header_states_size_depth_and_sign(signed):
    """The size is that of the image area, not of the reference grid (ISO/IEC 15444-1 A.5.1)."""
    found = declared(wavelet(signed=signed), JPEG2000Lossless)
    assert (found.rows, found.columns, found.bits) == (40, 30, 12)
    assert found.signed is signed
    assert found.coding is Coding.JPEG_2000


def test_boxes_before_a_wavelet_codestream_are_passed():
    """Some writers put JP2 boxes before it; where there is no codestream this is an error."""
    assert jpeg2000_start(b"\0\0\0\x0cjP  \r\n\x87\n" + wavelet()) == 12
    with pytest.raises(PixelError, match="not a JPEG 2000 codestream"):
        jpeg2000_start(b"jP  " + bytes(100))


def test_rle_declares_what_the_header_does():
    """RLE has no frame header of its own."""
    found = declared(b"", RLELossless)
    assert (found.coding, found.rows, found.columns, found.bits) == (Coding.RLE, 40, 30, 16)
