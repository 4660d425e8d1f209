"""The structure of untrusted elements, walked without decoding a value (PS3.5 7.1, 7.5).

A length that lies, sequences nested beyond reason, a million empty items: all of that is found here by
counting, before anything is allocated for it.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicom.errors import InvalidDataset, LimitExceeded

ALL_GROUPS: Final = range(0x10000)
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
# VRs whose values pydicom splits at backslashes into one object each.
_MULTI_VALUED: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLimits:
    """How much a header may ask of us.

    Attributes:
        max_bytes: Everything before the pixels, file meta group included; inflated if deflated.
        max_elements: Elements and items at all depths.
        max_depth: Sequences within sequences.
        max_text: Bytes of multi-valued text (each value becomes an object).
    """

    max_bytes: int = 16 * 2**20
    max_elements: int = 50_000
    max_depth: int = 16
    max_text: int = 2**18


class NeedMoreBytes(Exception):
    """The walk reached the end of its window, not of the data set."""


@dataclass(slots=True)
class Walk:
    """One pass over undecoded elements that only measures and counts; `order` is "<" or ">"."""

    window: bytes
    size: int
    order: str
    limits: HeaderLimits
    elements: int = 0
    text: int = 0

    def dataset(
        self, at: int, end: int, *, explicit: bool, depth: int = 0, groups: range = ALL_GROUPS
    ) -> int:
        """Return where the data set at `at` ends: after its delimiter, or outside of `groups`."""
        while end - at >= 8:
            tag, vr, length, value = self._element(at, explicit=explicit)
            if tag == _ITEM_END:
                return value
            if tag >> 16 not in groups:
                return at
            self._count(vr, length)
            if length == _UNDEFINED:
                nested = vr in {"SQ", "UN"}
                at = self._items(value, end, explicit=explicit, depth=depth + 1, nested=nested)
                continue
            at = value + length
            if at > end:
                raise InvalidDataset(
                    f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) declares {length} bytes "
                    f"where {max(0, end - value)} are left"
                )
            self._reach(at)
            if vr == "SQ" or (vr == "UN" and self._is_item(value, length)):
                self._defined_sequence(value, at, explicit=explicit, depth=depth + 1)
        return end

    def _element(self, at: int, *, explicit: bool) -> tuple[int, str, int, int]:
        """Return tag, VR, length and where the value begins (PS3.5 7.1.2, 7.1.3)."""
        group, number, raw_vr, length = self._unpack("HH2sH", at)
        tag = group << 16 | number
        if group == 0xFFFE or not explicit or not looks_like_vr(raw_vr):
            return tag, _usual_vr(tag), self._unpack("L", at + 4)[0], at + 8
        vr = raw_vr.decode("ascii")
        if vr in EXPLICIT_VR_LENGTH_32:
            return tag, vr, self._unpack("L", at + 8)[0], at + 12
        return tag, vr, length, at + 8

    def _items(self, at: int, end: int, *, explicit: bool, depth: int, nested: bool) -> int:
        """Return where the items at `at` end: after their delimiter, or at `end` (PS3.5 7.5)."""
        if depth > self.limits.max_depth:
            raise LimitExceeded(f"sequences are nested deeper than {self.limits.max_depth}")
        while end - at >= 8:
            group, number, length = self._unpack("HHL", at)
            tag = group << 16 | number
            self._count("", 0)
            at += 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise InvalidDataset("a sequence holds something that is not an item")
            stop = end if length == _UNDEFINED else at + length
            if stop > end:
                raise InvalidDataset("an item is longer than its sequence")
            self._reach(at if length == _UNDEFINED else stop)
            after = self._item(at, stop, explicit=explicit, depth=depth) if nested else stop
            at = after if length == _UNDEFINED else stop
        return end

    def _item(self, at: int, stop: int, *, explicit: bool, depth: int) -> int:
        # An item of an explicit VR data set may be in implicit VR, not the other way (PS3.5 6.2.2).
        if explicit and stop - at >= 8:
            explicit = looks_like_vr(self._unpack("2s", at + 4)[0])
        return self.dataset(at, stop, explicit=explicit, depth=depth)

    def _defined_sequence(self, at: int, end: int, *, explicit: bool, depth: int) -> None:
        try:
            self._items(at, end, explicit=explicit, depth=depth, nested=True)
        except InvalidDataset:
            return  # its own length is right, so only this element is lost: pydicom leaves it out

    def _is_item(self, at: int, length: int) -> bool:
        return length >= 8 and self._unpack("HH", at) == (0xFFFE, 0xE000)

    def _count(self, vr: str, length: int) -> None:
        self.elements += 1
        if self.elements > self.limits.max_elements:
            raise LimitExceeded(f"the header has more than {self.limits.max_elements} elements")
        if vr in _MULTI_VALUED and length != _UNDEFINED:
            self.text += length
            if self.size >= self.text > self.limits.max_text:
                raise LimitExceeded(
                    f"the header has more than {self.limits.max_text} bytes of text"
                )

    def _reach(self, at: int) -> None:
        if at > self.limits.max_bytes:
            raise LimitExceeded(f"the header is longer than {self.limits.max_bytes} bytes")
        if at > len(self.window):
            raise NeedMoreBytes

    def _unpack(self, layout: str, at: int) -> tuple[Any, ...]:
        unpacker = struct.Struct(self.order + layout)
        end = at + unpacker.size
        if end > self.size:
            raise InvalidDataset("the data set ends within an element")
        self._reach(end)
        return unpacker.unpack_from(self.window, at)


def looks_like_vr(raw: bytes) -> bool:
    """Return whether two bytes are a VR: two capitals, known or not; anything else is a length.

    It is pydicom's own rule, so that it reads what was walked.
    """
    return 0x41 <= raw[0] <= 0x5A and 0x41 <= raw[1] <= 0x5A


def _usual_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
