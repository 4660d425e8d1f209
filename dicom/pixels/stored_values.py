"""The stored values of an image, decoded after the codestream's own declarations were checked.

Each coding has one decoder. If it refuses, no other is tried: that one may be lenient and fill in what a
damaged file lacks. If the decoder itself is lenient, the codestream is first proven to be complete.
"""

import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from jpeg_ls.CharLS import decode_pixel_data as decode_charls
from libjpeg.utils import decode as decode_libjpeg
from numpy.typing import NDArray
from openjpeg.utils import decode as decode_openjpeg
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicom.codestreams.image_header import Codestream, Coding, read_codestream
from dicom.codestreams.jpeg2000 import check_packets
from dicom.codestreams.jpeg_scans import check_scans
from dicom.codestreams.point_transform import without_point_transform
from dicom.codestreams.rle import decode_rle
from dicom.errors import PixelError
from dicom.parsing.pixel_data import ITEM, PixelData, compressed_image
from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.pixels.constant_rows import missing_rows
from dicom.pixels.image_matrix import COLORS, ImageMatrix, in_color
from dicom.pixels.used_bits import Cells, StoredImage, from_signed_codestream, used_bits

# What decoders raise on malformed data, in addition to the errors of pydicom.
_DECODER_ERRORS: Final = (*PYDICOM_ERRORS, RuntimeError, AssertionError, SyntaxError)
_IN_COLOR: Final = "The image is encoded as a color image; all of its pixels are gray."
_END_OF_IMAGE: Final = b"\xff\xd9"


def stored_values(header: Dataset, pixels: PixelData, matrix: ImageMatrix) -> StoredImage:
    """Return the stored values, with unused bits removed and the sign extended.

    The header of a codestream is checked before it is decoded.

    Args:
        header: The data set without its pixels; its transfer syntax gives their encoding.
        pixels: The value of Pixel Data (`dicom.parsing.header.read_pixel_data`).
        matrix: What the header declares.

    Raises:
        LimitExceeded: The compressed image has more fragments, restart intervals, packets or
            code-blocks than any writer makes.
        PixelError: The pixels are not what the header declares, or cannot be proven complete.
    """
    syntax = UID(str(header.file_meta.TransferSyntaxUID))
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise PixelError(f"the transfer syntax {str(syntax)[:64]!a} is not known")
    notes: tuple[str, ...] = ()
    if matrix.samples > 1:
        cells, notes = _gray_in_color(pixels, matrix), (_IN_COLOR,)
    elif syntax.is_encapsulated:
        cells, notes = _compressed(compressed_image(pixels), syntax, matrix)
    else:
        little_endian = header.original_encoding[1]
        cells = _native(pixels, matrix, little_endian=bool(little_endian))
        notes = _beyond(pixels.value, matrix)
    image = used_bits(cells, matrix, header)
    note = (*notes, *image.notes, *missing_rows(cells.values))
    return StoredImage(values=image.values, matrix=image.matrix, notes=note)


def _gray_in_color(pixels: PixelData, matrix: ImageMatrix) -> Cells:
    """Return the first sample of each pixel of an uncompressed color image that is all gray."""
    size = matrix.rows * matrix.columns
    if pixels.in_fragments or len(pixels.value) < 3 * size:
        raise in_color(matrix.photometric)
    samples = np.frombuffer(pixels.value, np.uint8, 3 * size)
    first, *others = samples.reshape(3, size) if matrix.planes else samples.reshape(size, 3).T
    neutral = COLORS[matrix.photometric]
    if any(np.any(other != (first if neutral is None else neutral)) for other in others):
        raise in_color(matrix.photometric)
    return Cells(values=np.ascontiguousarray(first).reshape(matrix.rows, matrix.columns), bits=8)


def _native(pixels: PixelData, matrix: ImageMatrix, *, little_endian: bool) -> Cells:
    if pixels.in_fragments or pixels.value.startswith(ITEM):
        raise PixelError("the pixel data is in fragments, but the transfer syntax is uncompressed")
    declared = matrix.rows * matrix.columns * matrix.bits_allocated // 8
    if len(pixels.value) < declared:
        raise PixelError(
            f"the image declares {declared} bytes of pixels and has {len(pixels.value)}"
        )
    syntax = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
    options: dict[str, Any] = {
        "rows": matrix.rows,
        "columns": matrix.columns,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "bits_allocated": matrix.bits_allocated,
        "bits_stored": matrix.bits_stored,
        "pixel_representation": 0,
        "photometric_interpretation": matrix.photometric,
        "pixel_keyword": "PixelData",
        "pixel_vr": pixels.vr,
        "correct_unused_bits": False,
    }
    try:
        values, _ = get_decoder(syntax).as_array(pixels.value, index=0, raw=True, **options)
    except _DECODER_ERRORS:
        raise PixelError("the pixel data cannot be read") from None
    # `used_bits` views the cells as native integers, so they must have this machine's byte order.
    own = values.astype(values.dtype.newbyteorder("="), copy=False)
    return Cells(values=own, bits=matrix.bits_allocated)


def _beyond(value: bytes, matrix: ImageMatrix) -> tuple[str, ...]:
    """Return a note if more rows, not only padding, follow those that the header declares."""
    row = matrix.columns * matrix.bits_allocated // 8
    more = value[matrix.rows * row :]
    rows = len(more) // row
    if not rows or more.count(more[:1]) == len(more):
        return ()
    note = f"The pixel data holds {rows} rows more than the {matrix.rows} that Rows declares"
    return (f"{note}; they are not shown.",)


def _compressed(frame: bytes, syntax: UID, matrix: ImageMatrix) -> tuple[Cells, tuple[str, ...]]:
    """Return the cells of a codestream after proving it complete, and notes."""
    stream = read_codestream(
        frame,
        str(syntax),
        rows=matrix.rows,
        columns=matrix.columns,
        bits_allocated=matrix.bits_allocated,
    )
    if stream.coding == Coding.RLE:
        values = decode_rle(frame, matrix.rows, matrix.columns, matrix.bits_allocated)
        return Cells(values=values, bits=matrix.bits_allocated), ()
    if stream.coding == Coding.JPEG_2000:
        check_packets(frame)
    elif stream.coding != Coding.JPEG_LS:  # the JPEG-LS decoder is strict
        check_scans(frame, stream)
    values = _decoded(frame, stream)
    notes: tuple[str, ...] = ()
    if stream.coding == Coding.LOSSLESS and not matrix.signed:
        _check_range(values, stream.bits)
    if stream.signed:
        values, notes = from_signed_codestream(values, stream.bits, matrix)
    # The sign is at the top of Bits Stored. JPEG-LS and JPEG 2000 writers may put it at the top of the
    # codestream's own depth if that is smaller.
    own_sign = stream.coding in {Coding.JPEG_LS, Coding.JPEG_2000}
    within = own_sign and stream.bits < matrix.bits_stored
    sign_bit = stream.bits if within else None
    proven = stream.coding not in {Coding.LOSSLESS, Coding.JPEG_2000}
    return Cells(values=values, bits=stream.bits, sign_bit=sign_bit, proven=proven), notes


def _check_range(values: NDArray[Any], bits: int) -> None:
    """Check that no value exceeds the sample depth, as values after a changed byte may do."""
    if int(values.max()) >> bits:
        raise PixelError(f"the compressed image is damaged: it has values of more than {bits} bits")


def _decoded(frame: bytes, stream: Codestream) -> NDArray[Any]:
    """Return the decoded samples, integers [H, W].

    Raises:
        PixelError: They cannot be decoded, or have another size or depth than declared.
    """
    try:
        values = _decoder(stream)(frame)
    except _DECODER_ERRORS:
        raise PixelError(
            f"the compressed image is damaged or cut off: its {stream.coding} data cannot be decoded"
        ) from None
    if values.shape != (stream.rows, stream.columns) or values.dtype.kind not in "iu":
        raise PixelError("the compressed image is not what the header declares")
    if values.dtype.itemsize != (1 if stream.bits <= 8 else 2):
        raise PixelError("the compressed image has another bit depth than it declares")
    return values


def _decoder(stream: Codestream) -> Callable[[bytes], NDArray[Any]]:
    if stream.coding == Coding.JPEG_2000:
        return decode_openjpeg
    if stream.coding == Coding.JPEG_LS:
        return _decode_charls
    if stream.coding == Coding.LOSSLESS:
        return lambda frame: _decode_lossless(frame, stream.bits)
    if stream.bits > 8:
        return decode_libjpeg
    return _decode_pillow


def _decode_charls(frame: bytes) -> NDArray[Any]:
    """Return a JPEG-LS image; CharLS raises unless the scan extends exactly to the end marker."""
    # A bit is stuffed after FF, so no scan contains EOI. CharLS takes seconds to detect a missing EOI.
    if _END_OF_IMAGE not in frame:
        raise PixelError("the compressed image is cut off: it has no end marker (EOI)")
    buffer, found = decode_charls(frame)
    cells = np.frombuffer(buffer, "u1" if found["bits_per_sample"] <= 8 else "<u2")
    return cells.reshape(found["height"], found["width"])


def _decode_lossless(frame: bytes, bits: int) -> NDArray[Any]:
    """Return a lossless JPEG image with `bits` bits per sample."""
    shorter, shift = without_point_transform(frame)
    decoded: NDArray[np.integer[Any]] = decode_libjpeg(shorter)
    cells = decoded.astype(np.uint8) if bits <= 8 else decoded.astype(np.uint16)
    return np.left_shift(cells, shift)


def _decode_pillow(frame: bytes) -> NDArray[Any]:
    """Return an 8-bit JPEG image."""
    return np.asarray(Image.open(io.BytesIO(frame), formats=("JPEG",)))
