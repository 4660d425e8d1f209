"""Which bits of a pixel's cell are its value (PS3.5 8.1.1), and what the rest of them say.

A cell is what is written or what a codestream decodes to, as an unsigned number. Its unused bits may
hold an overlay (retired), a sign or nothing. Some writers understate Bits Stored: then they hold the top
of the value.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.errors import PixelError
from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.pixels.image_matrix import ImageMatrix

Stored = NDArray[np.integer[Any]]

_NOT_HIGH: Final = "High Bit contradicts the pixels, whose values are in the lowest bits."
_OVERLAY_GROUPS: Final = range(0x6000, 0x6020, 2)
_BIT_POSITION: Final = 0x0102
_EVERY: Final = 4  # of the rows that are compared
_LEAST_JOINED: Final = 0.6  # of the steps that a right reading leaves small


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of an image.

    Attributes:
        values: uint8 or uint16 [H, W].
        bits: How many bits of them the writer had.
        sign_bit: Where a signed value has its sign if not at the top of Bits Stored, as a count of bits.
        proven: Whether each of them is as it was written. Else some may come from a changed byte.
    """

    values: Stored
    bits: int
    sign_bit: int | None = None
    proven: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredImage:
    """The stored values of an image.

    Attributes:
        values: Integers [H, W], without unused bits, with the sign extended.
        matrix: What the header declares, corrected by what was found.
        notes: What the reader should know of them, sentences.
    """

    values: Stored
    matrix: ImageMatrix
    notes: tuple[str, ...] = ()


def used_bits(cells: Cells, matrix: ImageMatrix, header: Dataset) -> StoredImage:
    """Return the stored values; High Bit is followed where the cells have so many bits.

    Where bits above High Bit are set that are no declared overlay and no sign, they are kept as part
    of the value if neighbouring pixels join better with them, and are left out otherwise.

    Raises:
        PixelError: The cells are not proven, and neither joins neighbouring pixels.
    """
    if _right_justified(cells, matrix):
        image = used_bits(cells, replace(matrix, shift=0), header)
        return replace(image, notes=(_NOT_HIGH, *image.notes))
    shift = matrix.shift if cells.bits >= matrix.bits_stored + matrix.shift else 0
    top = shift + matrix.bits_stored
    values = cells.values
    declared = _field(values, shift, cells.sign_bit or top, signed=matrix.signed)
    if cells.bits <= top or not _vary_above(values, top, header):
        return StoredImage(values=declared, matrix=matrix)
    whole = _field(values, shift, cells.bits, signed=matrix.signed)
    share = float(np.mean(whole != declared))
    if share == 0:  # the bits above are the sign
        return StoredImage(values=declared, matrix=matrix)
    said = f"{100 * share:.2g} % of the pixels have bits set above those that Bits Stored declares"
    joined, others = _joined(whole, declared, 2 ** (matrix.bits_stored - 3))
    if not cells.proven and max(joined, others) < _LEAST_JOINED:
        raise PixelError(f"the compressed image is damaged: {said}, and no picture results")
    if joined <= others:
        note = f"{said}; these bits were ignored."
        return StoredImage(values=declared, matrix=matrix, notes=(note,))
    note = f"{said} ({matrix.bits_stored}); they were read as part of the values."
    needed = max(int(whole.max()).bit_length(), (-1 - int(whole.min())).bit_length())
    found = replace(matrix, bits_stored=needed + matrix.signed, shift=shift)
    return StoredImage(values=whole, matrix=found, notes=(note,))


def _right_justified(cells: Cells, matrix: ImageMatrix) -> bool:
    """Return whether the values lie in the lowest bits, though High Bit says that these are unused."""
    unused = cells.values & cells.values.dtype.type(2**matrix.shift - 1)
    return bool(unused.any()) and int(cells.values.max()) < 2**matrix.bits_stored


def from_signed_codestream(
    values: Stored, bits: int, matrix: ImageMatrix
) -> tuple[Stored, tuple[str, ...]]:
    """Return the cells of a codestream whose samples are signed, and notes.

    Where Pixel Representation says unsigned, the samples are the same bits read as two's complement, or
    all of them were shifted down by half of the range: neighbours join better in the right image.

    Args:
        values: Integers [H, W], signed.
        bits: Of a sample.
        matrix: What the header declares.
    """
    unsigned = np.dtype(f"u{values.dtype.itemsize}").type
    wrapped = values.view(unsigned) & unsigned(2**bits - 1)
    if matrix.signed or values.min() >= 0:
        return wrapped, ()
    shifted = (values.astype(np.int32) + 2 ** (bits - 1)).astype(unsigned)
    joined, others = _joined(shifted, wrapped, 2 ** (bits - 3))
    if joined <= others:
        return wrapped, ()
    note = (
        "The compressed image is signed, Pixel Representation says unsigned; "
        "its values were shifted up by half of their range."
    )
    return shifted, (note,)


def _field(values: Stored, low: int, high: int, *, signed: bool) -> Stored:
    """Return bits `low` to `high` - 1 of cells as numbers."""
    width = 8 * values.dtype.itemsize
    if signed:
        values = values.view(f"i{values.dtype.itemsize}")
    above = width - high
    if above:
        values = values << above
    # In the signed types this shift extends the sign, in the unsigned ones it clears.
    return values >> (above + low) if above + low else values


def _vary_above(values: Stored, top: int, header: Dataset) -> bool:
    """Return whether bits from `top` on differ between pixels, overlays left out."""
    if int(values.min()) >> top == int(values.max()) >> top:
        return False
    overlays = sum(1 << position for position in _overlay_positions(header) if position >= top)
    if not overlays:
        return True
    rest = (values & values.dtype.type(~overlays & (2 ** (8 * values.dtype.itemsize) - 1))) >> top
    return bool(rest.min() != rest.max())


def _overlay_positions(header: Dataset) -> set[int]:
    """Return the bits in which the header says that overlays lie (PS3.3 C.9.2)."""
    positions = set()
    for group in _OVERLAY_GROUPS:
        try:
            value = header[group, _BIT_POSITION].value
        except (KeyError, *PYDICOM_ERRORS):
            continue
        if isinstance(value, int) and 0 <= value < 16:
            positions.add(value)
    return positions


def _joined(values: Stored, others: Stored, small: int) -> tuple[float, float]:
    """Return which share of neighbours is joined in `values`, and which in `others`.

    Only neighbours whose step differs between the two are counted: an edge of the image that has the
    same step in both tells nothing.

    Args:
        values: Integers [H, W].
        others: Integers [H, W], the same image read in another way.
        small: The largest step that counts as joined.
    """
    steps, other_steps = (
        np.abs(np.diff(each[::_EVERY].astype(np.int32), axis=1)) for each in (values, others)
    )
    differ = steps != other_steps
    if not differ.any():
        return 1.0, 1.0
    return float(np.mean(steps[differ] <= small)), float(np.mean(other_steps[differ] <= small))
