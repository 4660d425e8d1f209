"""The stored values of a picture: its bytes are decoded once what they declare has been checked."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    RLELossless,
)

from dicom.codestream import check_codestream
from dicom.errors import PixelError
from dicom.image_matrix import ImageMatrix
from dicom.values import PYDICOM_ERRORS

Stored = NDArray[np.integer[Any]]

# Decoders raise these on bytes that are not what they say, besides what pydicom itself raises.
_DECODER_ERRORS: Final = (*PYDICOM_ERRORS, RuntimeError, AssertionError)
# Where several plugins could: the one that reads all bit depths; for RLE the one that raises on
# damaged segments, where pylibjpeg's panics past every `except`.
_PLUGIN: Final = {
    RLELossless: "pydicom",
    JPEG2000: "pylibjpeg",
    JPEG2000Lossless: "pylibjpeg",
    JPEGExtended12Bit: "pylibjpeg",
}
_PIXEL_DATA: Final = 0x7FE00010


def stored_values(header: Dataset, pixels: Dataset, matrix: ImageMatrix) -> Stored:
    """Return the stored values, integers [H, W], with unused bits removed and the sign extended.

    What the compressed picture declares of itself is checked before it is decoded.

    Args:
        header: The data set without its pixels; its transfer syntax says how they are written.
        pixels: The data set of the pixels alone (`dicom.header.read_pixel_elements`).
        matrix: What the header declares.

    Raises:
        LimitExceeded: As `dicom.codestream.check_codestream`.
        PixelError: There are no pixels, or they are not what the header declares.
    """
    encoded, pixel_vr = _pixel_bytes(pixels)
    syntax = UID(str(header.file_meta.TransferSyntaxUID))
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise PixelError(f"the transfer syntax {str(syntax)[:64]!a} is not known")
    if syntax.is_encapsulated:
        _check_encapsulated(encoded, syntax, matrix)
    else:
        little_endian = header.original_encoding[1]
        syntax = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        _check_native(encoded, matrix)
    stored = _decoded(encoded, syntax, matrix, pixel_vr=pixel_vr)
    return stored if syntax.is_encapsulated else _used_bits(stored, matrix)


def _pixel_bytes(pixels: Dataset) -> tuple[bytes, str]:
    """Return the value of Pixel Data and its VR, OB or OW."""
    try:
        element = pixels.get(_PIXEL_DATA)
    except PYDICOM_ERRORS:
        raise PixelError("the pixel data cannot be read") from None
    if element is None or not isinstance(element.value, bytes) or not element.value:
        raise PixelError("the film has no pixel data, or the file ends within it")
    return element.value, "OB" if element.VR == "OB" else "OW"


def _check_encapsulated(encoded: bytes, syntax: UID, matrix: ImageMatrix) -> None:
    try:
        frame = get_frame(encoded, 0, number_of_frames=1)
    except _DECODER_ERRORS:
        raise PixelError("the fragments of the compressed picture cannot be read") from None
    check_codestream(
        frame,
        str(syntax),
        rows=matrix.rows,
        columns=matrix.columns,
        bits_allocated=matrix.bits_allocated,
    )


def _check_native(encoded: bytes, matrix: ImageMatrix) -> None:
    declared = matrix.rows * matrix.columns * matrix.bits_allocated // 8
    if len(encoded) < declared:
        raise PixelError(f"the film declares {declared} bytes of pixels and has {len(encoded)}")


def _decoded(encoded: bytes, syntax: UID, matrix: ImageMatrix, *, pixel_vr: str) -> Stored:
    options: dict[str, Any] = {
        "rows": matrix.rows,
        "columns": matrix.columns,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "bits_allocated": matrix.bits_allocated,
        "bits_stored": matrix.bits_stored,
        "pixel_representation": int(matrix.signed),
        "photometric_interpretation": matrix.photometric,
        "pixel_keyword": "PixelData",
        "pixel_vr": pixel_vr,
        "correct_unused_bits": syntax.is_encapsulated,
    }
    try:
        array, _ = get_decoder(syntax).as_array(
            encoded, index=0, raw=True, decoding_plugin=_PLUGIN.get(syntax, ""), **options
        )
    except NotImplementedError:
        raise PixelError(f"no decoder for the transfer syntax {syntax.name}") from None
    except _DECODER_ERRORS:
        raise PixelError("the compressed picture cannot be decoded") from None
    if array.shape != (matrix.rows, matrix.columns) or array.dtype.kind not in "iu":
        raise PixelError("the compressed picture is not what the header declares")
    stored: Stored = array
    return stored


def _used_bits(array: Stored, matrix: ImageMatrix) -> Stored:
    """Return the values without the bits above High Bit and below the lowest one (PS3.5 8.1.1)."""
    above = matrix.bits_allocated - matrix.bits_stored - matrix.shift
    if above:
        array = array << above
    # In the signed types this shift extends the sign, in the unsigned ones it clears.
    return array >> (above + matrix.shift) if above + matrix.shift else array
