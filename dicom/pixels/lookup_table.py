"""Look-up tables of an image: Modality LUT and VOI LUT items (PS3.3 C.11.1.1, C.11.2.1.1).

A descriptor often contradicts its table. Some modalities write the stored size of an entry (16) where
the depth of its values (14) belongs. The table itself shows which depth it needs; that one is used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.errors import PixelError

FloatTable = NDArray[np.float64]
Words = NDArray[np.uint16]

_SMALLEST_DEPTH: Final = 8
_SIGN: Final = 2**15
# A curve of 8 bits that rises and falls no more than twice stays within this sum of its steps.
_MOST_STEPS: Final = 4 * 255
# A table whose steps sum up to more than so many times its range is no curve.
_ROUGHEST: Final = 16
# Entries that exceed the declared depth by this share were rounded up; a depth more is twice as much.
_ROUNDED: Final = 1.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """One item of a LUT sequence, checked.

    Attributes:
        entries: float64 [N], not negative.
        first: The value that the first entry stands for.
        declared_bits: The third value of the descriptor.
    """

    entries: FloatTable
    first: int
    declared_bits: int

    @property
    def bits(self) -> int:
        """The depth that the largest entry needs, at least 8; the declared one where all are 0."""
        largest, declared = int(self.entries.max()), 2**self.declared_bits - 1
        if self.declared_bits >= _SMALLEST_DEPTH and declared < largest <= _ROUNDED * declared:
            return self.declared_bits
        needed = largest.bit_length()
        return max(needed, _SMALLEST_DEPTH) if needed else max(self.declared_bits, 1)

    def look_up(self, values: FloatTable) -> FloatTable:
        """Return the entries for `values`; outside the table its first and last entry hold."""
        place = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        found: FloatTable = self.entries[place.astype(np.int64)]
        return found


def read_lookup_table(item: Dataset, *, signed: bool, little_endian: bool) -> LookupTable:
    """Return the look-up table of an item.

    Args:
        item: With LUT Descriptor and LUT Data.
        signed: Whether the values that it is looked up with may be negative. This decides how the
            second value of the descriptor is meant, whatever its VR says.
        little_endian: Byte order of the data set.

    Raises:
        PixelError: The item has no descriptor, too few entries, or entries that are no curve.
    """
    descriptor = item.get("LUTDescriptor")
    if not isinstance(descriptor, MultiValue | list) or len(descriptor) != 3:
        raise PixelError("a look-up table of the film has no descriptor")
    count, first, bits = (int(number) & 0xFFFF for number in descriptor)
    count = count or 2**16
    return LookupTable(
        entries=_entries(item, count, bits, little_endian=little_endian).astype(np.float64),
        first=first - 2**16 if signed and first >= _SIGN else first,
        declared_bits=bits,
    )


def _entries(item: Dataset, count: int, bits: int, *, little_endian: bool) -> NDArray[np.integer]:
    """Return `count` entries; half as many words hold two entries of 8 bits each.

    Where the descriptor says another depth than 8, half as many words may also be a table that was cut:
    its bytes, taken for entries, do not make a smooth table.
    """
    value = item.get("LUTData")
    raw = value if isinstance(value, bytes) else _numbers(value)
    if isinstance(raw, bytes) and count <= len(raw) < 2 * count and item["LUTData"].VR != "OW":
        return np.frombuffer(raw[:count], np.uint8)
    words = _words(raw, little_endian=little_endian)
    if len(words) >= count:
        return _curve(words[:count])
    if 2 * len(words) >= count:
        entries = _unpacked(words)[:count]
        if bits == _SMALLEST_DEPTH or _steps(entries) <= _MOST_STEPS:
            return entries
    raise PixelError("a look-up table of the film is shorter than it says")


def _curve(words: Words) -> Words:
    """Return entries as they are, or with their bytes swapped where only so they are a curve.

    Raises:
        PixelError: Neither is one.
    """
    for entries in (words, words.byteswap()):
        if _steps(entries) <= _ROUGHEST * max(int(entries.max()), 1):
            return entries
    raise PixelError("the entries of a look-up table of the film are no curve")


def _numbers(value: object) -> list[int]:
    return [int(entry) for entry in value] if isinstance(value, MultiValue | list) else []


def _words(raw: bytes | list[int], *, little_endian: bool) -> Words:
    if isinstance(raw, bytes):
        return np.frombuffer(raw[: len(raw) // 2 * 2], "<u2" if little_endian else ">u2")
    return np.asarray([entry & 0xFFFF for entry in raw], np.uint16)


def _unpacked(words: Words) -> NDArray[np.integer]:
    """Return the 8-bit entries of words, the low byte first, as the Standard has it.

    Some writers put the high byte first. Tables are smooth: the order with the smaller steps is the
    one that was meant.
    """
    low, high = words & 0xFF, words >> 8
    standard = np.stack([low, high], axis=1).reshape(-1)
    swapped = np.stack([high, low], axis=1).reshape(-1)
    return min(standard, swapped, key=_steps)


def _steps(entries: NDArray[np.integer]) -> int:
    return int(np.abs(np.diff(entries.astype(np.int64))).sum())
