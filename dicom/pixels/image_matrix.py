"""Size, depth and color of an image as the header declares them, checked before a pixel is read."""

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from dicom.errors import LimitExceeded, PixelError

# Second and third sample of a gray 8-bit pixel by Photometric Interpretation; None: they equal the first
# (PS3.3 C.7.6.3.1.2).
COLORS: Final = {"RGB": None, "YBR_FULL": 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMatrix:
    """The checked Image Pixel Module of one grayscale image (PS3.3 C.7.6.3).

    Attributes:
        rows: At least 1, as `columns`.
        bits_allocated: 8 or 16.
        bits_stored: 8 to `bits_allocated`.
        shift: Number of unused bits below the lowest stored bit.
        signed: Whether the stored values are in two's complement.
        photometric: "MONOCHROME1" or "MONOCHROME2"; one of `COLORS` if a pixel has three samples.
        planes: Whether these are stored plane by plane (Planar Configuration 1).
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    shift: int
    signed: bool
    photometric: str
    planes: bool = False

    @property
    def samples(self) -> int:
        """Number of samples per pixel, 1 or 3."""
        return 3 if self.photometric in COLORS else 1


def photometric_interpretation(header: Dataset) -> str:
    """Return Photometric Interpretation up to the NUL that some writers put in it, "" if absent."""
    written = str(header.get("PhotometricInterpretation") or "")
    return written.partition("\0")[0].strip().upper()


def in_color(photometric: str) -> PixelError:
    """Return the error for a color image."""
    return PixelError(f"the image is in color ({photometric[:16]!a}), not grayscale")


def declared_matrix(header: Dataset, max_pixels: int) -> tuple[ImageMatrix, tuple[str, ...]]:
    """Return the image matrix that the header declares, and warnings; allocate nothing for pixels.

    Args:
        header: The data set without its pixels.
        max_pixels: The most rows x columns that are read.

    Raises:
        LimitExceeded: It declares more pixels.
        PixelError: It declares no image, or one that is not supported: color, frames, other depths.
    """
    photometric = _gray(header)
    rows, columns = _size(header, max_pixels)
    allocated, stored = _depth(header)
    shift = whole_number(header, "HighBit", stored - 1) - (stored - 1)
    shift_fits = 0 <= shift <= allocated - stored
    matrix = ImageMatrix(
        rows=rows,
        columns=columns,
        bits_allocated=allocated,
        bits_stored=stored,
        shift=shift if shift_fits else 0,
        signed=_is_signed(header),
        photometric=photometric,
        planes=whole_number(header, "PlanarConfiguration", 0) == 1,
    )
    if matrix.samples > 1 and allocated != 8:
        raise in_color(photometric)
    return matrix, () if shift_fits else (
        "High Bit contradicts Bits Stored; Bits Stored was used.",
    )


def _gray(header: Dataset) -> str:
    """Return Photometric Interpretation; refuse what cannot be a single gray image."""
    if header.get("Rows") is None and header.get("PhotometricInterpretation") is None:
        raise PixelError("the object has no pixel data")
    photometric = photometric_interpretation(header)
    if not photometric:
        raise PixelError("the image does not state whether it is MONOCHROME1 or MONOCHROME2")
    samples = whole_number(header, "SamplesPerPixel", 1)
    due = {"MONOCHROME1": 1, "MONOCHROME2": 1, **dict.fromkeys(COLORS, 3)}
    if samples != due.get(photometric):
        raise in_color(photometric)
    frames = whole_number(header, "NumberOfFrames", 1)
    if frames > 1:
        raise PixelError(f"the image has {frames} frames; only images with one frame are read")
    return photometric


def _size(header: Dataset, max_pixels: int) -> tuple[int, int]:
    rows, columns = whole_number(header, "Rows"), whole_number(header, "Columns")
    if rows < 1 or columns < 1:
        raise PixelError(f"the image is declared as {rows} x {columns} pixels")
    if rows * columns > max_pixels:
        raise LimitExceeded(
            f"the image is declared as {rows} x {columns} pixels, "
            f"more than the {max_pixels} that are read"
        )
    return rows, columns


def _depth(header: Dataset) -> tuple[int, int]:
    """Return Bits Allocated and Bits Stored."""
    allocated, stored = whole_number(header, "BitsAllocated"), whole_number(header, "BitsStored")
    if allocated not in {8, 16} or not 8 <= stored <= allocated:
        raise PixelError(f"pixels of {stored} bits in {allocated} are not read, only 8 to 16 bits")
    return allocated, stored


def _is_signed(header: Dataset) -> bool:
    """Return whether stored values are in two's complement.

    Raises:
        PixelError: Pixel Representation is neither 0 nor 1.
    """
    representation = whole_number(header, "PixelRepresentation", 0)
    if representation not in {0, 1}:
        raise PixelError(f"Pixel Representation of the image is {representation}, neither 0 nor 1")
    return representation == 1


def whole_number(header: Dataset, keyword: str, default: int | None = None) -> int:
    """Return the value of an attribute that is one integer.

    Args:
        header: The data set.
        keyword: Keyword of the attribute.
        default: Returned if it is absent or empty; None if it is required.

    Raises:
        PixelError: It is required and has no value, or is not one number.
    """
    value = header.get(keyword)
    if value is None or value == "":
        if default is None:
            raise PixelError(f"the image has no {keyword}")
        return default
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise PixelError(f"{keyword} of the image is not one number") from None
