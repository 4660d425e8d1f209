"""An image is read only if it is proven whole: every coding, cut, filled up and changed."""

import io
import struct
import subprocess

import jpeg_ls
import numpy as np
import pytest
from openjpeg.utils import encode_array as encode_jpeg2000
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from rle.utils import encode_pixel_data as encode_rle

from dicom.errors import LimitExceeded, PixelError
from dicom.pixels.frame import PixelLimits, load_frame

LIMITS = PixelLimits(max_pixels=2**22, max_bytes=2**26)
ROWS, COLUMNS = 150, 130
WINDOW = {"WindowCenter": "2048", "WindowWidth": "4096"}


def _image() -> np.ndarray:
    """Return uint16 [150, 130] of 12 bits: smooth with noise, black at the edges."""
    down, across = np.mgrid[0:ROWS, 0:COLUMNS]
    smooth = 1900 + 1500 * np.sin(down / 23) * np.cos(across / 31)
    image = smooth + np.random.default_rng(5).normal(0, 9, smooth.shape)
    image[:6] = image[-6:] = 0
    image[:, :5] = image[:, -5:] = 0
    return np.clip(image, 0, 4095).astype(np.uint16)


IMAGE = _image()


def lossless(pixels, *, predictor=1, bits=12, restart_rows=0):
    """Return a lossless JPEG codestream (ISO/IEC 10918-1 H) with one table of 17 codes of 5 bits."""
    rows, columns = pixels.shape
    codes = range(17)
    segments = [
        b"\xff\xd8",
        b"\xff\xc3" + struct.pack(">HBHHB3B", 11, bits, rows, columns, 1, 1, 0x11, 0),
        b"\xff\xc4"
        + struct.pack(">HB16B", 36, 0, *[17 if length == 4 else 0 for length in range(16)])
        + bytes(codes),
    ]
    if restart_rows:
        segments.append(b"\xff\xdd" + struct.pack(">HH", 4, restart_rows * columns))
    segments.append(b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, predictor, 0, 0))
    step = restart_rows or rows
    for number, first in enumerate(range(0, rows, step)):
        if number:
            segments.append(bytes([0xFF, 0xD0 + (number - 1) % 8]))
        segments.append(_entropy(_differences(pixels[first : first + step], predictor, bits)))
    return b"".join(segments) + b"\xff\xd9"


def _differences(pixels, predictor, bits):
    """Return what a predictor leaves of the samples (H.1.2.1)."""
    x = pixels.astype(np.int64)
    left, above, corner = (np.zeros_like(x) for _ in range(3))
    left[:, 1:], above[1:], corner[1:, 1:] = x[:, :-1], x[:-1], x[:-1, :-1]
    predicted = [
        left,
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    ][predictor]
    predicted[0] = left[0]
    predicted[1:, 0] = above[1:, 0]
    predicted[0, 0] = 2 ** (bits - 1)
    return ((x - predicted + 2**15) % 2**16 - 2**15).reshape(-1)


def _entropy(differences):
    """Return the codes of differences, stuffed and filled with ones (F.1.2.1, F.1.2.3)."""
    parts = []
    for difference in differences.tolist():
        size = abs(difference).bit_length()
        parts.append(f"{size:05b}")
        if 0 < size < 16:
            parts.append(f"{difference if difference > 0 else difference + 2**size - 1:0{size}b}")
    text = "".join(parts)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")


def baseline(pixels, **options):
    """Return an 8-bit JPEG of the upper 8 of 12 bits."""
    out = io.BytesIO()
    Image.fromarray((pixels >> 4).astype(np.uint8)).save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def extended(pixels, folder):
    """Return a 12-bit JPEG by DCMTK."""
    native = save(folder / "native.dcm", ExplicitVRLittleEndian, pixels.tobytes())
    done = folder / "extended.dcm"
    subprocess.run(["dcmcjpeg", "+ee", "+bt", "+q", "95", native, done], check=True, timeout=60)
    return get_frame(dcmread(done).PixelData, 0, number_of_frames=1)


def rle(pixels):
    """Return an RLE frame."""
    return bytes(
        encode_rle(
            pixels.tobytes(), rows=ROWS, columns=COLUMNS, samples_per_pixel=1,
            bits_allocated=16, byteorder="<",
        )
    )  # fmt: skip


def jpeg2000(pixels, **options):
    """Return a JPEG 2000 codestream."""
    return bytes(encode_jpeg2000(pixels, bits_stored=12, photometric_interpretation=2, **options))


# By name: transfer syntax, codestream, whether it is of 8 bits.
CODINGS = {
    "baseline": (JPEGBaseline8Bit, lambda: baseline(IMAGE), True),
    "baseline-restarts": (JPEGBaseline8Bit, lambda: baseline(IMAGE, restart_marker_rows=1), True),
    "lossless-sv1": (JPEGLosslessSV1, lambda: lossless(IMAGE), False),
    "lossless-restarts": (JPEGLossless, lambda: lossless(IMAGE, restart_rows=8), False),
    "lossless-predictor-6": (JPEGLossless, lambda: lossless(IMAGE, predictor=6), False),
    "jpegls": (JPEGLSLossless, lambda: bytes(jpeg_ls.encode_array(IMAGE)), False),
    "jpegls-near": (JPEGLSNearLossless, lambda: bytes(jpeg_ls.encode_array(IMAGE, 3)), False),
    "j2k": (JPEG2000Lossless, lambda: jpeg2000(IMAGE), False),
    "j2k-lossy": (JPEG2000, lambda: jpeg2000(IMAGE, compression_ratios=[6]), False),
    "rle": (RLELossless, lambda: rle(IMAGE), False),
    "progressive": (JPEGBaseline8Bit, lambda: baseline(IMAGE, progressive=True), True),
}


def save(path, syntax, encoded, *, eight=False, **tags):
    """Return the path of an image with such Pixel Data."""
    image = Dataset()
    image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID = image.StudyInstanceUID = image.SeriesInstanceUID = "1.2.3"
    image.Rows, image.Columns = ROWS, COLUMNS
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.PixelRepresentation = 0
    image.BitsAllocated, image.BitsStored = (8, 8) if eight else (16, 12)
    image.WindowCenter, image.WindowWidth = ("128", "256") if eight else ("2048", "4096")
    for keyword, value in tags.items():
        setattr(image, keyword, value)
    image.HighBit = tags.get("HighBit", image.BitsStored - 1)
    image.PixelData = encoded
    image["PixelData"].VR = "OB" if syntax.is_encapsulated else "OW"
    image["PixelData"].is_undefined_length = syntax.is_encapsulated
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.save_as(path, enforce_file_format=True)
    return path


def read(tmp_path, syntax, codestream, *, fragments=1, **tags):
    """Return the Frame of an image with such a codestream."""
    path = tmp_path / "image.dcm"
    encoded = encapsulate([codestream], fragments_per_frame=fragments)
    return load_frame(save(path, syntax, encoded, **tags), LIMITS)


def native(tmp_path, pixels=IMAGE, **tags):
    """Return the Frame of the uncompressed image."""
    return load_frame(
        save(tmp_path / "n.dcm", ExplicitVRLittleEndian, pixels.tobytes(), **tags), LIMITS
    )


@pytest.fixture(scope="session")
def codestream(tmp_path_factory):
    """A function that returns transfer syntax, codestream and depth of a coding by name."""
    made = {}

    def make(name):
        if name not in made:
            if name == "extended":
                folder = tmp_path_factory.mktemp("extended")
                made[name] = (JPEGExtended12Bit, extended(IMAGE, folder), False)
            else:
                syntax, encode, eight = CODINGS[name]
                made[name] = (syntax, encode(), eight)
        return made[name]

    return make


EVERY = [*CODINGS, pytest.param("extended", marks=pytest.mark.dcmtk)]


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
    """Nothing is made up for what is missing."""
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
    """Of sixty images with one bit changed none is read that differs in more than two rows' pixels."""
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
    """All samples are there and proven; with bytes after them it is refused."""
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


def test_a_missing_restart_interval_is_refused(tmp_path):
    """One of the intervals is lost with its marker."""
    stream = lossless(IMAGE, restart_rows=8)
    first, second = stream.index(b"\xff\xd2"), stream.index(b"\xff\xd3")
    with pytest.raises(PixelError, match="restart interval"):
        read(tmp_path, JPEGLossless, stream[:first] + stream[second:])


@pytest.mark.parametrize(
    "offsets", [[0], [0, 8], [16], [16, 32], [0, 1, 2, 3], [4294967295], [0, 4000, 9000]]
)
def test_the_offset_table_does_not_matter(tmp_path, offsets):
    """Number of Frames is 1, so all fragments are the image (PS3.5 A.4)."""
    stream = lossless(IMAGE) + b"\0"
    parts = [stream[at : at + 7000] for at in range(0, len(stream), 7000)]
    table = struct.pack(f"<{len(offsets)}L", *offsets)
    frame = load_frame(
        save(tmp_path / "image.dcm", JPEGLosslessSV1, _items([table, *parts])), LIMITS
    )
    np.testing.assert_array_equal(frame.pixels, native(tmp_path).pixels)


def _items(values):
    """Return items and their delimiter."""
    items = [b"\xfe\xff\x00\xe0" + struct.pack("<L", len(value)) + value for value in values]
    return b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)


def test_an_odd_offset_table_and_an_extended_one_do_not_matter(tmp_path):
    """A table of seven bytes, and an Extended Offset Table that names the first fragment alone."""
    stream = lossless(IMAGE)
    encoded = _items([b"\0" * 7, stream[:5000], stream[5000:]])
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
    path = save(tmp_path / "image.dcm", JPEG2000Lossless, _items([b"", IMAGE.tobytes()]))
    path.write_bytes(
        path.read_bytes().replace(JPEG2000Lossless.encode(), b"1.2.840.10008.1.2.1\0\0\0")
    )
    with pytest.raises(PixelError, match="uncompressed"):
        load_frame(path, LIMITS)
    items = _items([b"", IMAGE.tobytes()])
    with pytest.raises(PixelError, match="uncompressed"):
        load_frame(save(path, ExplicitVRLittleEndian, items), LIMITS)


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
    """The sign is where the byte order of the file says."""
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


@pytest.mark.parametrize("predictor", range(1, 8))
def test_blocks_in_the_wrong_order_are_refused_or_change_little(tmp_path, predictor):
    """Of lossless images of 16 bits with two blocks swapped none is read that is another picture."""
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


@pytest.mark.parametrize("filling", [b"\xff", b"\x55", b"\xa5\xff\xa5"])
@pytest.mark.parametrize("name", EVERY)
def test_an_image_filled_up_with_other_bytes_is_refused(tmp_path, codestream, name, filling):
    """The end marker is in its place, and what stands before it is not coded data."""
    syntax, stream, eight = codestream(name)
    kept = len(stream) // 2
    rest = (filling * len(stream))[: len(stream) - kept - 2]
    with pytest.raises(PixelError):
        read(tmp_path, syntax, stream[:kept] + rest + stream[-2:], eight=eight)


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


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8, 0.93])
def test_a_tail_of_zeros_in_native_pixels_is_reported(tmp_path, share):
    """An image whose rest was filled up with zeros is read with a note."""
    filled = IMAGE.copy()
    filled.reshape(-1)[int(share * filled.size) :] = 0
    assert "all zero" in native(tmp_path, filled).warnings[0]


@pytest.mark.parametrize("filling", [b"\xff", b"\xcd", b"\x55"])
def test_a_tail_of_another_value_is_reported(tmp_path, filling):
    """Not only zeros fill up what is missing."""
    kept = IMAGE.tobytes()[: IMAGE.nbytes // 2]
    path = save(
        tmp_path / "n.dcm", ExplicitVRLittleEndian, kept + filling * (IMAGE.nbytes - len(kept))
    )
    assert "a part of the image is missing" in " ".join(load_frame(path, LIMITS).warnings)


def test_a_hole_in_native_pixels_is_reported(tmp_path):
    """A lost block that was filled with zeros is no collimation."""
    holed = IMAGE.copy()
    holed.reshape(-1)[IMAGE.size // 2 : IMAGE.size * 2 // 3] = 0
    assert "rows within the image" in native(tmp_path, holed).warnings[0]


def test_rows_beyond_those_declared_are_reported(tmp_path):
    """A second frame or a wrong Rows shows a part only; padding needs no note."""
    assert "rows more" in native(tmp_path, np.vstack([IMAGE, IMAGE])).warnings[0]
    assert native(tmp_path, np.vstack([IMAGE, np.zeros_like(IMAGE)])).warnings == ()


def test_collimation_is_no_tail(tmp_path):
    """An image with black margins on all sides has no note."""
    collimated = np.zeros_like(IMAGE)
    collimated[30:-30, 20:-20] = IMAGE[30:-30, 20:-20]
    assert native(tmp_path, collimated).warnings == ()


def test_garbage_behind_the_photometric_interpretation_does_not_matter(tmp_path):
    """The value ends at the NUL."""
    path = save(tmp_path / "image.dcm", ExplicitVRLittleEndian, IMAGE.tobytes())
    image = path.read_bytes()
    changed = image.replace(b"CS\x0c\0MONOCHROME2 ", b"CS\x0e\0MONOCHROME2\0\x10 ")
    assert changed != image
    path.write_bytes(changed)
    np.testing.assert_array_equal(load_frame(path, LIMITS).pixels, native(tmp_path).pixels)


@pytest.mark.parametrize("planes", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_a_color_image_of_gray_pixels_is_read(tmp_path, photometric, planes):
    """Three equal samples, or neutral chroma, are the gray image; one colored pixel is refused."""
    eight = (IMAGE >> 4).astype(np.uint8)
    chroma = np.full_like(eight, 128) if photometric == "YBR_FULL" else eight
    samples = np.stack([eight, chroma, chroma], axis=0 if planes else -1)
    tags = {
        "PhotometricInterpretation": photometric,
        "SamplesPerPixel": 3,
        "PlanarConfiguration": planes,
    }
    path = tmp_path / "image.dcm"
    save(path, ExplicitVRLittleEndian, samples.tobytes(), eight=True, **tags)
    gray = save(tmp_path / "gray.dcm", ExplicitVRLittleEndian, eight.tobytes(), eight=True)
    frame = load_frame(path, LIMITS)
    np.testing.assert_array_equal(frame.pixels, load_frame(gray, LIMITS).pixels)
    assert "color image" in frame.warnings[0]
    samples = samples.copy()
    samples.reshape(-1)[-1] ^= 1
    save(path, ExplicitVRLittleEndian, samples.tobytes(), eight=True, **tags)
    with pytest.raises(PixelError, match="color"):
        load_frame(path, LIMITS)


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
    """The sentence names what was found."""
    image = shared_data / "trials" / "modality" / f"{name}.dcm"
    if not image.exists():
        pytest.skip("the image is not here")
    with pytest.raises(PixelError, match=DAMAGED[name]):
        load_frame(image, LIMITS)
