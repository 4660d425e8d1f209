"""One image in each coding, and the file that holds it, for the tests of pixels."""

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
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from rle.utils import encode_pixel_data as encode_rle

from dicom.pixels.frame import PixelLimits, load_frame

LIMITS = PixelLimits(max_pixels=2**22, max_bytes=2**26)


ROWS, COLUMNS = 150, 130


def smooth_image() -> np.ndarray:
    """Return uint16 [150, 130] of 12 bits: smooth with noise, black at the edges."""
    down, across = np.mgrid[0:ROWS, 0:COLUMNS]
    smooth = 1900 + 1500 * np.sin(down / 23) * np.cos(across / 31)
    image = smooth + np.random.default_rng(5).normal(0, 9, smooth.shape)
    image[:6] = image[-6:] = 0
    image[:, :5] = image[:, -5:] = 0
    return np.clip(image, 0, 4095).astype(np.uint16)


IMAGE = smooth_image()


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
    """Return the samples less their prediction (H.1.2.1)."""
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


EVERY = [*CODINGS, pytest.param("extended", marks=pytest.mark.dcmtk)]


def encoded_items(values):
    """Return items and their delimiter."""
    items = [b"\xfe\xff\x00\xe0" + struct.pack("<L", len(value)) + value for value in values]
    return b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)
