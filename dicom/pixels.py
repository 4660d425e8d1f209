"""The Frame of an instance: its one picture as it is meant to be seen, or why there is none.

What the header declares is checked before the pixels are read, and what the compressed picture
declares before it is decoded; a file is refused before anything is allocated for it. Then, in the
order of PS3.3 C.11.1 and C.11.2: decode → Modality LUT or rescale → VOI LUT or window → polarity
(Photometric Interpretation, Presentation LUT Shape) → padding to black.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    RLELossless,
)

from dicom.codestream import check_codestream
from dicom.errors import LimitExceeded, PixelError
from dicom.header import PYDICOM_ERRORS, read_header, read_pixel_elements
from dicom.voi import Histogram, grey_levels, modality_values

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
_BLOCK: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLimits:
    """What a picture may ask of us.

    Attributes:
        max_pixels: Rows x columns.
        max_bytes: The whole data set; inflated if deflated.
    """

    max_pixels: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A film's picture as displayed.

    Attributes:
        pixels: float32 [H, W], 0 black to 1 white. Air is dark and bone bright, unless the file says
            otherwise of itself: nothing is inverted on suspicion.
        warnings: What the reader should know about how it is shown, sentences.
    """

    pixels: NDArray[np.float32]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    """The Image Pixel Module as far as it was checked (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    shift: int
    signed: bool
    photometric: str


def load_frame(path: Path, limits: PixelLimits) -> Frame:
    """Return the picture of a single-frame greyscale image of 8 to 16 bits.

    Raises:
        InvalidDataset: The file is not a data set that can be read.
        LimitExceeded: It declares more than `limits`; nothing was allocated for it.
        PixelError: It has no such picture, or one that cannot be decoded.
    """
    try:
        header = read_header(path)
        matrix, warnings = _declared(header, limits)
        stored = _decode(header, read_pixel_elements(path, limits.max_bytes), matrix)
        frame = _displayed(header, stored, matrix)
    except MemoryError:
        raise LimitExceeded("there is not enough memory for the picture") from None
    return Frame(pixels=frame.pixels, warnings=(*warnings, *frame.warnings))


def _declared(header: Dataset, limits: PixelLimits) -> tuple[_Matrix, tuple[str, ...]]:
    """Return what the header declares, and warnings; refuse what we do not show."""
    if header.get("Rows") is None and header.get("PhotometricInterpretation") is None:
        raise PixelError("the object holds no picture")
    photometric = str(header.get("PhotometricInterpretation") or "").strip().upper()
    if not photometric:
        raise PixelError("the film does not say whether it is MONOCHROME1 or MONOCHROME2")
    samples = _integer(header, "SamplesPerPixel", 1)
    if photometric not in {"MONOCHROME1", "MONOCHROME2"} or samples != 1:
        raise PixelError(f"the picture is in colour ({photometric[:16]!a}), not greyscale")
    frames = _integer(header, "NumberOfFrames", 1)
    if frames > 1:
        raise PixelError(f"the image has {frames} frames; only single films are read")
    rows, columns = _integer(header, "Rows"), _integer(header, "Columns")
    if rows < 1 or columns < 1:
        raise PixelError(f"the picture is declared as {rows} x {columns} pixels")
    if rows * columns > limits.max_pixels:
        raise LimitExceeded(
            f"the picture is declared as {rows} x {columns} pixels, "
            f"more than the {limits.max_pixels} that are read"
        )
    allocated, stored = _integer(header, "BitsAllocated"), _integer(header, "BitsStored")
    if allocated not in {8, 16} or not 8 <= stored <= allocated:
        raise PixelError(f"pixels of {stored} bits in {allocated} are not read, only 8 to 16 bits")
    shift = _integer(header, "HighBit", stored - 1) - (stored - 1)
    shift_fits = 0 <= shift <= allocated - stored
    matrix = _Matrix(
        rows=rows,
        columns=columns,
        bits_allocated=allocated,
        bits_stored=stored,
        shift=shift if shift_fits else 0,
        signed=_integer(header, "PixelRepresentation", 0) == 1,
        photometric=photometric,
    )
    return matrix, () if shift_fits else (
        "High Bit contradicts Bits Stored; Bits Stored was believed.",
    )


def _integer(header: Dataset, keyword: str, default: int | None = None) -> int:
    value = header.get(keyword)
    if value is None or value == "":
        if default is None:
            raise PixelError(f"the film has no {keyword}")
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise PixelError(f"{keyword} of the film is not one number") from None


def _decode(header: Dataset, pixels: Dataset, matrix: _Matrix) -> Stored:
    """Return the stored values, `[H, W]`, with unused bits removed and the sign extended."""
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


def _check_encapsulated(encoded: bytes, syntax: UID, matrix: _Matrix) -> None:
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


def _check_native(encoded: bytes, matrix: _Matrix) -> None:
    declared = matrix.rows * matrix.columns * matrix.bits_allocated // 8
    if len(encoded) < declared:
        raise PixelError(f"the film declares {declared} bytes of pixels and has {len(encoded)}")


def _decoded(encoded: bytes, syntax: UID, matrix: _Matrix, *, pixel_vr: str) -> Stored:
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


def _used_bits(array: Stored, matrix: _Matrix) -> Stored:
    """Return the values without the bits above High Bit and below the lowest one (PS3.5 8.1.1)."""
    above = matrix.bits_allocated - matrix.bits_stored - matrix.shift
    if above:
        array = array << above
    # In the signed types this shift extends the sign, in the unsigned ones it clears.
    return array >> (above + matrix.shift) if above + matrix.shift else array


def _displayed(header: Dataset, stored: Stored, matrix: _Matrix) -> Frame:
    """Return the stored values as displayed, black where they are padding."""
    lowest, counts = _counted(stored)
    values = np.arange(lowest, lowest + len(counts), dtype=np.float64)
    padding = _padding(header, values, matrix)
    modality, warnings = modality_values(header, values)
    histogram = Histogram(values=modality, counts=np.where(padding, 0, counts))
    levels, voi_warnings = grey_levels(header, histogram, _full_range(header, matrix))
    negative, polarity_warnings = _polarity(header, matrix)
    if negative:
        levels = 1.0 - levels
    levels[padding] = 0.0
    pixels = _looked_up(stored, lowest, levels.astype(np.float32))
    said = (*_intent_warnings(header), *warnings, *voi_warnings, *polarity_warnings)
    return Frame(pixels=pixels, warnings=said)


def _counted(stored: Stored) -> tuple[int, NDArray[np.int64]]:
    """Return the smallest stored value, and how often it and each one above it occur."""
    lowest, highest = int(stored.min()), int(stored.max())
    counts = np.zeros(highest - lowest + 1, np.int64)
    flat = stored.reshape(-1)
    for start in range(0, flat.size, _BLOCK):  # bincount makes eight bytes of each pixel
        block = flat[start : start + _BLOCK].astype(np.int64) - lowest
        counts += np.bincount(block, minlength=len(counts))
    return lowest, counts


def _looked_up(stored: Stored, lowest: int, table: NDArray[np.float32]) -> NDArray[np.float32]:
    pixels = np.empty(stored.shape, np.float32)
    flat, out = stored.reshape(-1), pixels.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(np.int64) - lowest
        np.take(table, block, out=out[start : start + _BLOCK], mode="clip")
    return pixels


def _full_range(header: Dataset, matrix: _Matrix) -> tuple[float, float]:
    half = 2 ** (matrix.bits_stored - 1)
    stored = (-half, half - 1) if matrix.signed else (0, 2 * half - 1)
    ends = modality_values(header, np.asarray(stored, np.float64))[0]
    return float(ends.min()), float(ends.max())


def _padding(header: Dataset, values: NDArray[np.float64], matrix: _Matrix) -> NDArray[np.bool_]:
    """Return which stored values are padding (PS3.3 C.7.5.1.1.2): one, or a range with both ends."""
    if header.get("PixelPaddingValue") is None:
        return np.zeros(len(values), bool)
    first = _stored_value(header, "PixelPaddingValue", matrix)
    last = first
    if header.get("PixelPaddingRangeLimit") is not None:
        last = _stored_value(header, "PixelPaddingRangeLimit", matrix)
    padding: NDArray[np.bool_] = (values >= min(first, last)) & (values <= max(first, last))
    return padding


def _stored_value(header: Dataset, keyword: str, matrix: _Matrix) -> int:
    # Its VR is US or SS by Pixel Representation, but many writers give the wrong one of the two.
    value = _integer(header, keyword) & 0xFFFF
    return value - 2**16 if matrix.signed and value >= 2**15 else value


def _polarity(header: Dataset, matrix: _Matrix) -> tuple[bool, tuple[str, ...]]:
    """Return whether the grey levels are to be inverted, once, and warnings.

    MONOCHROME1 and Presentation LUT Shape INVERSE say the same thing twice in a DX image
    (PS3.3 C.8.11.3.1.2). Where they disagree, Photometric Interpretation is believed: it is the one
    that every modality writes and every viewer follows.
    """
    negative = matrix.photometric == "MONOCHROME1"
    shape = str(header.get("PresentationLUTShape") or "").strip().upper()
    if shape in {"INVERSE", "IDENTITY"} and (shape == "INVERSE") != negative:
        return negative, (
            f"Presentation LUT Shape {shape} contradicts {matrix.photometric}; the latter was believed.",
        )
    return negative, ()


def _intent_warnings(header: Dataset) -> tuple[str, ...]:
    intent = str(header.get("PresentationIntentType") or "").strip().upper()
    raw_class = header.get("SOPClassUID") == DigitalXRayImageStorageForProcessing
    if intent == "FOR PROCESSING" or raw_class:
        return ("The film is a raw one (FOR PROCESSING), not prepared for reading.",)
    return ()
