"""An image is read only if it is proven whole: every coding, cut, filled up and changed."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
)

from dicom.errors import LimitExceeded, PixelError
from dicom.pixels.frame import load_frame
from tests.dicom.codestreams.codings import (
    EVERY,
    IMAGE,
    LIMITS,
    ROWS,
    jpeg2000,
    lossless,
    native,
    read,
    save,
)


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("name", EVERY)
def test_a_whole_image_is_read(tmp_path, codestream, name, fragments):
    """Every coding gives the image that went in, lossy ones to a few gray levels, without a note."""
    syntax, stream, eight = codestream(name)
    frame = read(tmp_path, syntax, stream, eight=eight, fragments=fragments)
    lossy = eight or name in {"extended", "jpegls-near", "j2k-lossy"}
    difference = np.abs(frame.pixels - native(tmp_path).pixels).max()
    assert difference <= (0.06 if lossy else 0)
    assert frame.warnings == ()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("name", EVERY)
def test_an_image_that_is_cut_off_is_refused(tmp_path, codestream, name, share):
    """Missing data are not replaced."""
    syntax, stream, eight = codestream(name)
    with pytest.raises(PixelError, match=r"cut off|damaged|cannot be decoded|is missing"):
        read(tmp_path, syntax, stream[: int(share * len(stream))], eight=eight)


@pytest.mark.parametrize("end", [0, 2], ids=["to-the-end", "before-the-end-marker"])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", EVERY)
def test_an_image_filled_up_with_zeros_is_refused(tmp_path, codestream, name, share, end):
    """The length is right and the rest is zero, with or without the end marker in its place."""
    if name == "rle" and end:
        pytest.skip("RLE has no end marker")
    syntax, stream, eight = codestream(name)
    kept = int(share * len(stream))
    filled = stream[:kept] + bytes(len(stream) - kept - end) + stream[len(stream) - end :]
    with pytest.raises(PixelError):
        read(tmp_path, syntax, filled[: len(stream)], eight=eight)


@pytest.mark.parametrize("name", EVERY)
def test_an_image_with_a_hole_of_zeros_is_refused(tmp_path, codestream, name):
    """A block of zeros within the data, as a lost block of a disk leaves."""
    syntax, stream, eight = codestream(name)
    half = len(stream) // 2
    hole = stream[:half] + bytes(len(stream) // 5) + stream[half + len(stream) // 5 :]
    with pytest.raises(PixelError):
        read(tmp_path, syntax, hole, eight=eight, fragments=2)


@pytest.mark.parametrize("name", ["lossless-sv1", "lossless-restarts", "jpegls", "jpegls-near"])
def test_a_changed_byte_is_refused_or_changes_little(tmp_path, codestream, name):
    """Of sixty images with one changed bit none that is read differs in more than two rows' pixels."""
    syntax, stream, _ = codestream(name)
    whole = read(tmp_path, syntax, stream).pixels
    rng = np.random.default_rng(11)
    refused = 0
    for at in rng.integers(150, len(stream) - 2, 60):
        changed = bytearray(stream)
        changed[at] ^= 1 << int(rng.integers(8))
        try:
            frame = read(tmp_path, syntax, bytes(changed))
        except PixelError:
            refused += 1
            continue
        assert np.mean(np.abs(frame.pixels - whole) > 0.01) < 2 / ROWS
    assert refused > 10


@pytest.mark.timeout(20)
def test_hostile_codestreams_take_no_time(tmp_path):
    """Many restart intervals, fill bytes without end, a length of millions of bits."""
    stream = lossless(IMAGE)
    at = stream.index(b"\xff\xda")
    interval = b"\xff\xdd\x00\x04\x00\x01"
    markers = b"".join(bytes([0xFF, 0xD0 + number]) for number in range(8)) * 200_000
    with pytest.raises(LimitExceeded, match="restart intervals"):
        read(tmp_path, JPEGLossless, stream[:at] + interval + stream[at : at + 10] + markers)
    filled = stream[:2] + b"\xff" * 20_000_000 + stream[2:]
    np.testing.assert_array_equal(
        read(tmp_path, JPEGLossless, filled).pixels, native(tmp_path).pixels
    )
    stream = jpeg2000(IMAGE)
    at = stream.index(b"\xff\x93") + 2
    body = b"\xff" * 10_000_000
    length = stream.index(b"\xff\x90") + 6
    ones = bytearray(stream[:at] + body + b"\xff\xd9")
    ones[length : length + 4] = struct.pack(">L", at + len(body) - length + 6)
    with pytest.raises(PixelError, match="packet header"):
        read(tmp_path, JPEG2000Lossless, bytes(ones))


@pytest.mark.parametrize("filling", [b"\xff", b"\x55", b"\xa5\xff\xa5"])
@pytest.mark.parametrize("name", EVERY)
def test_an_image_filled_up_with_other_bytes_is_refused(tmp_path, codestream, name, filling):
    """The end marker is in its place, and the bytes before it are not coded data."""
    syntax, stream, eight = codestream(name)
    kept = len(stream) // 2
    rest = (filling * len(stream))[: len(stream) - kept - 2]
    with pytest.raises(PixelError):
        read(tmp_path, syntax, stream[:kept] + rest + stream[-2:], eight=eight)


@pytest.mark.parametrize("progression", ["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])
@pytest.mark.parametrize("tile", [None, (64, 100)])
def test_every_order_of_jpeg_2000_packets_is_followed(tmp_path, progression, tile):
    """Layers, precincts, tiles and small code-blocks: whole it is read, with a hole it is refused."""
    eight = (IMAGE >> 4).astype(np.uint8)
    out = io.BytesIO()
    options = {"tile_size": tile} if tile else {}
    Image.fromarray(eight).save(
        out, "JPEG2000", no_jp2=True, progression=progression, precinct_size=(64, 64),
        codeblock_size=(16, 16), quality_mode="rates", quality_layers=[20, 8, 1], **options,
    )  # fmt: skip
    stream = out.getvalue()
    frame = read(tmp_path, JPEG2000Lossless, stream, eight=True)
    gray = save(tmp_path / "gray.dcm", ExplicitVRLittleEndian, eight.tobytes(), eight=True)
    np.testing.assert_array_equal(frame.pixels, load_frame(gray, LIMITS).pixels)
    half = len(stream) // 2
    for damaged in (
        stream[:half] + bytes(len(stream) - half - 2) + stream[-2:],
        stream[:half] + bytes(99) + stream[half + 99 :],
        stream[:half] + stream[half + 99 :],
        stream[:-2],
    ):
        with pytest.raises(PixelError):
            read(tmp_path, JPEG2000Lossless, damaged, eight=True)


WHOLE = [
    "bo_first_offset_16",
    "bo_per_fragment_2",
    "en_j2k_signed_pr0",
    "en_ovl_j2k_prec16",
    "hb_12in16_left_sv1",
    "nu_photometric_garbage",
    "tr_ff_16",
]


DAMAGED = {
    "tc_base_cut80": "of 1024 blocks",
    "tc_ext_cut80": "of 1024 blocks",
    "tc_sv1_cut50": "of 65536 pixels",
    "tc_sv1_zero80": "of 65536 pixels",
    "e2e_effusion_sv1_cut65": "of 262144 pixels",
    "tc_jls_cut80": "no end marker",
    "tc_jls_flip": "JPEG-LS data cannot be decoded",
    "tc_j2k_zero50": "EOC",
    "px_native_fragments": "uncompressed",
}


@pytest.mark.parametrize("name", WHOLE)
def test_images_of_real_oddities_are_read_exactly(shared_data, name):
    """Offset tables, unused bits and bytes behind, as modalities and archives wrote them."""
    folder = shared_data / "trials" / "modality"
    image, reference = folder / f"{name}.dcm", folder / "ref256.dcm"
    if not image.exists():
        pytest.skip("the image is not here")
    exact = load_frame(reference, LIMITS).pixels
    np.testing.assert_array_equal(load_frame(image, LIMITS).pixels, exact)


@pytest.mark.parametrize("name", DAMAGED)
def test_images_of_real_damage_are_refused(shared_data, name):
    """The message names what was found."""
    image = shared_data / "trials" / "modality" / f"{name}.dcm"
    if not image.exists():
        pytest.skip("the image is not here")
    with pytest.raises(PixelError, match=DAMAGED[name]):
        load_frame(image, LIMITS)
