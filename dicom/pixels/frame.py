"""The Frame of an Instance: its single image as it is to be displayed.

The header is checked before the pixels are read, and the header of a codestream before it is
decoded: a file is refused before memory is allocated for its pixels. Then, in the order of PS3.3
C.11.1 and C.11.2: decode → Modality LUT or rescale → VOI LUT or window → polarity (Photometric
Interpretation, Presentation LUT Shape) → padding to black.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.attributes import is_for_processing
from dicom.errors import LimitExceeded, PixelError
from dicom.parsing.header import read_header, read_pixel_data
from dicom.pixels.image_matrix import ImageMatrix, declared_matrix, whole_number
from dicom.pixels.stored_values import stored_values
from dicom.pixels.used_bits import Stored, StoredImage
from dicom.pixels.voi import Histogram, VoiChoice, choose_voi, modality_values

_BLOCK: Final = 2**20
_Entry = TypeVar("_Entry", np.float32, np.uint16)
# A padding range that covers more than this share of all stored values, or of the pixels, is taken for
# an error of the writer.
_WIDEST_PADDING: Final = 0.25
_MOST_PADDING: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLimits:
    """Upper limits of an image that is read.

    Attributes:
        max_pixels: Rows x columns.
        max_bytes: Length of the whole data set, inflated if deflated.
    """

    max_pixels: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """The image of an Instance as displayed.

    Attributes:
        pixels: float32 [H, W], 0 black to 1 white. Air is dark and bone bright, unless the header is
            wrong about polarity: the image is never inverted because of its content.
        warnings: Sentences for the reader about how the image is displayed.
    """

    pixels: NDArray[np.float32]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueTable:
    """What each stored value of an image means, from the smallest to the largest that occurs.

    Attributes:
        lowest: The smallest stored value that occurs.
        modality: float64 [N], the modality value of each stored value.
        padding: bool [N], which stored values are padding.
        histogram: Of the modality values, without padding.
        full_range: Smallest and largest modality value of the bit depth.
        choice: The VOI transformations.
        negative: Whether the gray levels are inverted for display.
        warnings: Sentences for the reader.
    """

    lowest: int
    modality: NDArray[np.float64]
    padding: NDArray[np.bool_]
    histogram: Histogram
    full_range: tuple[float, float]
    choice: VoiChoice
    negative: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedImage:
    """The decoded image of a file: its header, stored values and warnings so far."""

    header: Dataset
    image: StoredImage
    warnings: tuple[str, ...]


def load_frame(path: Path, limits: PixelLimits) -> Frame:
    """Return the Frame of a single-frame grayscale image of 8 to 16 bits.

    Raises:
        InvalidDataset: The file is not a readable data set.
        LimitExceeded: It declares more than `limits`, or there is not enough memory to decode it.
        PixelError: It has no such image, or one that cannot be decoded.
    """
    try:
        loaded = load_image(path, limits)
        frame = _displayed(loaded.header, loaded.image.values, loaded.image.matrix)
    except MemoryError:
        raise LimitExceeded("there is not enough memory for the image") from None
    return Frame(pixels=frame.pixels, warnings=(*loaded.warnings, *frame.warnings))


def load_image(path: Path, limits: PixelLimits) -> LoadedImage:
    """Return the decoded image of a file.

    Raises:
        InvalidDataset, LimitExceeded, PixelError: As `load_frame`.
        MemoryError: There is not enough memory to decode it.
    """
    header = read_header(path)
    matrix, warnings = declared_matrix(header, limits.max_pixels)
    image = stored_values(header, read_pixel_data(path, limits.max_bytes), matrix)
    return LoadedImage(header=header, image=image, warnings=(*warnings, *image.notes))


def value_table(header: Dataset, stored: Stored, matrix: ImageMatrix) -> ValueTable:
    """Return what each stored value of an image means, up to the VOI transformation."""
    lowest, counts = _counted(stored)
    values = np.arange(lowest, lowest + len(counts), dtype=np.float64)
    padding, padding_warnings = _padding(header, values, counts, matrix)
    modality, warnings = modality_values(header, values, signed=matrix.signed)
    histogram = Histogram(values=modality, counts=np.where(padding, 0, counts))
    negative, polarity_warnings = _polarity(header, matrix)
    full_range = _full_range(header, matrix)
    choice = choose_voi(header, histogram, full_range, negative=negative)
    notes = (*_intent_warnings(header), *padding_warnings, *warnings)
    return ValueTable(
        lowest=lowest,
        modality=modality,
        padding=padding,
        histogram=histogram,
        full_range=full_range,
        choice=choice,
        negative=negative,
        warnings=(*notes, *choice.warnings, *polarity_warnings),
    )


def _displayed(header: Dataset, stored: Stored, matrix: ImageMatrix) -> Frame:
    """Return the Frame of the stored values, with padding black."""
    table = value_table(header, stored, matrix)
    levels = table.choice.voi.show(table.modality)
    if table.negative:
        levels = 1.0 - levels
    levels[table.padding] = 0.0
    pixels = looked_up(stored, table.lowest, levels.astype(np.float32))
    return Frame(pixels=pixels, warnings=table.warnings)


def _counted(stored: Stored) -> tuple[int, NDArray[np.int64]]:
    """Return the smallest stored value, and the count of each value from it to the largest."""
    lowest, highest = int(stored.min()), int(stored.max())
    counts = np.zeros(highest - lowest + 1, np.int64)
    flat = stored.reshape(-1)
    for start in range(0, flat.size, _BLOCK):  # in blocks: bincount needs eight bytes per pixel
        block = flat[start : start + _BLOCK].astype(np.int64) - lowest
        counts += np.bincount(block, minlength=len(counts))
    return lowest, counts


def looked_up(stored: Stored, lowest: int, table: NDArray[_Entry]) -> NDArray[_Entry]:
    """Return the entry of each stored value; the first entry is that of `lowest`."""
    pixels = np.empty(stored.shape, table.dtype)
    flat, out = stored.reshape(-1), pixels.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype(np.int64) - lowest
        np.take(table, block, out=out[start : start + _BLOCK], mode="clip")
    return pixels


def _full_range(header: Dataset, matrix: ImageMatrix) -> tuple[float, float]:
    half = 2 ** (matrix.bits_stored - 1)
    stored = (-half, half - 1) if matrix.signed else (0, 2 * half - 1)
    ends = modality_values(header, np.asarray(stored, np.float64), signed=matrix.signed)[0]
    return float(ends.min()), float(ends.max())


def _padding(
    header: Dataset, values: NDArray[np.float64], counts: NDArray[np.int64], matrix: ImageMatrix
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return which stored values are padding, and warnings (PS3.3 C.7.5.1.1.2).

    Padding is one value or an inclusive range. An implausible one is ignored with a warning: an
    attribute that only darkens the background must not make the image unreadable.

    Args:
        header: With Pixel Padding Value and Pixel Padding Range Limit where present.
        values: float64 [N], each stored value from the smallest to the largest.
        counts: int64 [N], how often each occurs.
        matrix: Of the image.
    """
    nothing = np.zeros(len(values), bool)
    try:
        first, last = _padding_range(header, matrix)
    except PixelError as error:
        return nothing, (f"The padding of the image was ignored: {error}.",)
    if first is None or last is None:
        return nothing, ()
    padding: NDArray[np.bool_] = (values >= min(first, last)) & (values <= max(first, last))
    wide = abs(first - last) + 1 > _WIDEST_PADDING * 2**matrix.bits_stored
    most = first != last and counts[padding].sum() > _MOST_PADDING * counts.sum()
    if wide or most:
        reason = f"its range {min(first, last)} to {max(first, last)} covers most of the image"
        return nothing, (f"The padding of the image was ignored: {reason}.",)
    return padding, ()


def _padding_range(header: Dataset, matrix: ImageMatrix) -> tuple[int | None, int | None]:
    if header.get("PixelPaddingValue") in (None, ""):
        return None, None
    first = _stored_value(header, "PixelPaddingValue", matrix)
    if header.get("PixelPaddingRangeLimit") in (None, ""):
        return first, first
    return first, _stored_value(header, "PixelPaddingRangeLimit", matrix)


def _stored_value(header: Dataset, keyword: str, matrix: ImageMatrix) -> int:
    # Pixel Representation decides whether the VR is US or SS, but many writers use the wrong one.
    if isinstance(header.get(keyword), bytes):
        raise PixelError(f"{keyword} of the image is not one number")
    value = whole_number(header, keyword) & 0xFFFF
    return value - 2**16 if matrix.signed and value >= 2**15 else value


def _polarity(header: Dataset, matrix: ImageMatrix) -> tuple[bool, tuple[str, ...]]:
    """Return whether the gray levels are to be inverted, and warnings.

    In a DX image MONOCHROME1 and Presentation LUT Shape INVERSE mean the same single inversion
    (PS3.3 C.8.11.3.1.2). If they disagree, Photometric Interpretation is used: every modality writes
    it and every viewer follows it.
    """
    negative = matrix.photometric == "MONOCHROME1"
    shape = str(header.get("PresentationLUTShape") or "").strip().upper()
    if shape in {"INVERSE", "IDENTITY"} and (shape == "INVERSE") != negative:
        return negative, (
            f"Presentation LUT Shape {shape} contradicts {matrix.photometric}; the latter was used.",
        )
    return negative, ()


def _intent_warnings(header: Dataset) -> tuple[str, ...]:
    if is_for_processing(header):
        return ("The image is FOR PROCESSING (raw data), not FOR PRESENTATION.",)
    return ()
