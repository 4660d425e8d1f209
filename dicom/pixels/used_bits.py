"""Which bits of a pixel cell are its value (PS3.5 8.1.1), and what its other bits mean.

A cell is the stored or decoded sample as an unsigned number. Its unused bits may hold an overlay
(retired), sign bits or nothing. Some writers declare too few Bits Stored: then the unused bits hold the
top of the value.
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
_EVERY: Final = 4  # every fourth row is compared
_LEAST_JOINED: Final = 0.6  # share of small steps between neighbors in a correct reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The cells of an image.

    Attributes:
        values: uint8 or uint16 [H, W].
        bits: Bits of a cell that the encoding can fill: Bits Allocated, or the codestream's depth.
        sign_bit: Bits up to and including the sign, if the sign is not at the top of Bits Stored.
        proven: Whether all values are proven to be as written; otherwise a changed byte may have
            altered some.
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
        notes: Sentences for the reader about them.
    """

    values: Stored
    matrix: ImageMatrix
    notes: tuple[str, ...] = ()


def used_bits(cells: Cells, matrix: ImageMatrix, header: Dataset) -> StoredImage:
    """Return the stored values; apply High Bit if the cells have that many bits.

    Bits set above High Bit that are neither a declared overlay nor the sign are kept as part of the
    value if more neighboring pixels then differ by a small step, and are dropped otherwise.

    Raises:
        PixelError: The cells are not proven, and too few steps are small in either reading.
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
    note = f"{100 * share:.2g} % of the pixels have bits set above those that Bits Stored declares"
    joined, others = _small_step_shares(whole, declared, 2 ** (matrix.bits_stored - 3))
    if not cells.proven and max(joined, others) < _LEAST_JOINED:
        raise PixelError(f"the compressed image is damaged: {note}, and cannot be shown")
    if joined <= others:
        note = f"{note}; these bits were ignored."
        return StoredImage(values=declared, matrix=matrix, notes=(note,))
    note = f"{note} ({matrix.bits_stored}); they were read as part of the values."
    needed = max(int(whole.max()).bit_length(), (-1 - int(whole.min())).bit_length())
    found = replace(matrix, bits_stored=needed + matrix.signed, shift=shift)
    return StoredImage(values=whole, matrix=found, notes=(note,))


def _right_justified(cells: Cells, matrix: ImageMatrix) -> bool:
    """Return whether the values lie in the lowest bits, which High Bit declares unused."""
    unused = cells.values & cells.values.dtype.type(2**matrix.shift - 1)
    return bool(unused.any()) and int(cells.values.max()) < 2**matrix.bits_stored


def from_signed_codestream(
    values: Stored, bits: int, matrix: ImageMatrix
) -> tuple[Stored, tuple[str, ...]]:
    """Return the cells of a codestream whose samples are signed, and notes.

    If Pixel Representation is unsigned, the samples either hold the same bits in two's complement, or
    were all shifted down by half of their range. The reading with more small steps between neighboring
    pixels is used.

    Args:
        values: Integers [H, W], signed.
        bits: Bits per sample.
        matrix: What the header declares.
    """
    unsigned = np.dtype(f"u{values.dtype.itemsize}").type
    wrapped = values.view(unsigned) & unsigned(2**bits - 1)
    if matrix.signed or values.min() >= 0:
        return wrapped, ()
    shifted = (values.astype(np.int32) + 2 ** (bits - 1)).astype(unsigned)
    joined, others = _small_step_shares(shifted, wrapped, 2 ** (bits - 3))
    if joined <= others:
        return wrapped, ()
    note = (
        "The compressed image is signed, Pixel Representation says unsigned; "
        "its values were shifted up by half of their range."
    )
    return shifted, (note,)


def _field(values: Stored, low: int, high: int, *, signed: bool) -> Stored:
    """Return bits `low` to `high` - 1 of the cells as integers."""
    width = 8 * values.dtype.itemsize
    if signed:
        values = values.view(f"i{values.dtype.itemsize}")
    above = width - high
    if above:
        values = values << above
    # In the signed types this shift extends the sign, in the unsigned ones it clears.
    return values >> (above + low) if above + low else values


def _vary_above(values: Stored, top: int, header: Dataset) -> bool:
    """Return whether bits `top` and above differ between pixels, ignoring declared overlays."""
    if int(values.min()) >> top == int(values.max()) >> top:
        return False
    overlays = sum(1 << position for position in _overlay_positions(header) if position >= top)
    if not overlays:
        return True
    rest = (values & values.dtype.type(~overlays & (2 ** (8 * values.dtype.itemsize) - 1))) >> top
    return bool(rest.min() != rest.max())


def _overlay_positions(header: Dataset) -> set[int]:
    """Return the bit positions that the header declares for overlays (PS3.3 C.9.2)."""
    positions = set()
    for group in _OVERLAY_GROUPS:
        try:
            value = header[group, _BIT_POSITION].value
        except (KeyError, *PYDICOM_ERRORS):
            continue
        if isinstance(value, int) and 0 <= value < 16:
            positions.add(value)
    return positions


def _small_step_shares(values: Stored, others: Stored, small: int) -> tuple[float, float]:
    """Return the share of small steps between horizontal neighbors in `values`, and in `others`.

    Only neighbors whose step differs between the two are counted: an edge with the same step in both
    does not distinguish them.

    Args:
        values: Integers [H, W].
        others: Integers [H, W], the same image read in another way.
        small: The largest step that counts as small.
    """
    steps, other_steps = (
        np.abs(np.diff(each[::_EVERY].astype(np.int32), axis=1)) for each in (values, others)
    )
    differ = steps != other_steps
    if not differ.any():
        return 1.0, 1.0
    return float(np.mean(steps[differ] <= small)), float(np.mean(other_steps[differ] <= small))
