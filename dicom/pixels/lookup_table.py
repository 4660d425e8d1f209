"""Look-up tables of an image: Modality LUT and VOI LUT items (PS3.3 C.11.1.1, C.11.2.1.1).

A descriptor often contradicts its table. Some modalities write the allocated size of an entry (16)
instead of the depth of its values (14). The depth that the entries need is used.
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
# The largest sum of steps of an 8-bit curve that rises and falls at most twice.
_MOST_STEPS: Final = 4 * 255
# A table whose steps add up to more than this multiple of its largest entry is not a curve.
_ROUGHEST: Final = 16
# Entries up to this multiple of the declared maximum were rounded up; one bit more would be about 2.
_ROUNDED: Final = 1.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """The checked look-up table of one LUT sequence item.

    Attributes:
        entries: float64 [N], not negative.
        first: The input value that maps to the first entry.
        declared_bits: The third value of the descriptor.
    """

    entries: FloatTable
    first: int
    declared_bits: int

    @property
    def bits(self) -> int:
        """The depth that the largest entry needs, at least 8.

        The declared depth is kept if the largest entry exceeds it by rounding only, or is 0.
        """
        largest, declared = int(self.entries.max()), 2**self.declared_bits - 1
        if self.declared_bits >= _SMALLEST_DEPTH and declared < largest <= _ROUNDED * declared:
            return self.declared_bits
        needed = largest.bit_length()
        return max(needed, _SMALLEST_DEPTH) if needed else max(self.declared_bits, 1)

    def look_up(self, values: FloatTable) -> FloatTable:
        """Return the entries for `values`; values outside the table get its first or last entry."""
        place = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        found: FloatTable = self.entries[place.astype(np.int64)]
        return found


def read_lookup_table(item: Dataset, *, signed: bool, little_endian: bool) -> LookupTable:
    """Return the look-up table of an item.

    Args:
        item: With LUT Descriptor and LUT Data.
        signed: Whether input values may be negative. This, not its VR, decides whether the second
            value of the descriptor is signed.
        little_endian: Byte order of the data set.

    Raises:
        PixelError: The item has no descriptor, too few entries, or entries that form no curve.
    """
    descriptor = item.get("LUTDescriptor")
    if not isinstance(descriptor, MultiValue | list) or len(descriptor) != 3:
        raise PixelError("a look-up table of the image has no descriptor")
    count, first, bits = (int(number) & 0xFFFF for number in descriptor)
    count = count or 2**16
    return LookupTable(
        entries=_entries(item, count, bits, little_endian=little_endian).astype(np.float64),
        first=first - 2**16 if signed and first >= _SIGN else first,
        declared_bits=bits,
    )


def _entries(item: Dataset, count: int, bits: int, *, little_endian: bool) -> NDArray[np.integer]:
    """Return `count` entries; half as many words hold two 8-bit entries each.

    If the descriptor declares another depth than 8, half as many words may also be a truncated table:
    then its bytes, read as entries, do not form a smooth curve.
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
    raise PixelError("a look-up table of the image is shorter than its descriptor declares")


def _curve(words: Words) -> Words:
    """Return the entries, with their bytes swapped if only that makes them a curve.

    Raises:
        PixelError: They form no curve in either byte order.
    """
    for entries in (words, words.byteswap()):
        if _steps(entries) <= _ROUGHEST * max(int(entries.max()), 1):
            return entries
    raise PixelError("the entries of a look-up table of the image do not form a curve")


def _numbers(value: object) -> list[int]:
    return [int(entry) for entry in value] if isinstance(value, MultiValue | list) else []


def _words(raw: bytes | list[int], *, little_endian: bool) -> Words:
    if isinstance(raw, bytes):
        return np.frombuffer(raw[: len(raw) // 2 * 2], "<u2" if little_endian else ">u2")
    return np.asarray([entry & 0xFFFF for entry in raw], np.uint16)


def _unpacked(words: Words) -> NDArray[np.integer]:
    """Return the 8-bit entries of words, the low byte first as in the Standard.

    Some writers put the high byte first. Tables are smooth, so the order with the smaller steps is
    used.
    """
    low, high = words & 0xFF, words >> 8
    standard = np.stack([low, high], axis=1).reshape(-1)
    swapped = np.stack([high, low], axis=1).reshape(-1)
    return min(standard, swapped, key=_steps)


def _steps(entries: NDArray[np.integer]) -> int:
    return int(np.abs(np.diff(entries.astype(np.int64))).sum())
