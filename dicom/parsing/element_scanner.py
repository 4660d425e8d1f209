"""A scan of the structure of untrusted elements without decoding a value (PS3.5 7.1, 7.5).

Wrong lengths, deeply nested sequences, a million empty items: all are detected here by counting, before
memory is allocated for them.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

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
_NOTHING: Final[frozenset[int]] = frozenset()
_KNOWN: Final = frozenset(vr.encode("ascii") for vr in STANDARD_VR)
# By VR whose elements are not nested: bytes before the value; whether it is multi-valued text; name.
_PLAIN: Final = {
    vr.encode("ascii"): (12 if vr in EXPLICIT_VR_LENGTH_32 else 8, vr in _MULTI_VALUED, str(vr))
    for vr in STANDARD_VR - {"SQ", "UN"}
}


@dataclass(frozen=True, slots=True)
class _Layouts:
    """Layouts of the beginning of an element in one byte order (PS3.5 7.1.2, 7.1.3)."""

    explicit: Struct
    implicit: Struct
    length: Struct
    tag: Struct


_LAYOUTS: Final = {
    order: _Layouts(*(Struct(order + layout) for layout in ("HH2sH", "HHL", "L", "HH")))
    for order in "<>"
}
_VR: Final = Struct("2s")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLimits:
    """Upper limits of a header that is read.

    Attributes:
        max_bytes: Bytes before the pixels, file meta group included; inflated if deflated.
        max_elements: Elements and items at all depths.
        max_depth: Nesting of sequences.
        max_text: Bytes of multi-valued text, of which pydicom makes an object for each value.
    """

    max_bytes: int = 16 * 2**20
    max_elements: int = 50_000
    max_depth: int = 16
    max_text: int = 2**18


class Found(NamedTuple):
    """The position of an element in the window.

    Attributes:
        vr: As written; None in implicit VR.
        begin: Offset of its tag.
        value: Offset of its value.
        end: Offset of the next element.
    """

    tag: int
    vr: str | None
    begin: int
    value: int
    end: int


class NeedMoreBytes(Exception):
    """The scan reached the end of its window, but not of the data set."""


@dataclass(slots=True)
class ElementScanner:
    """One pass over undecoded elements that only measures and counts.

    Attributes:
        window: The first bytes of the data set.
        size: Length of the whole data set.
        order: Byte order, "<" or ">".
        limits: Upper limits of the header.
        recorded: Tags whose positions at the top level are recorded.
        at_all_depths: Record positions within sequences, too.
        elements: Number of elements and items so far.
        text: Bytes of multi-valued text so far.
        found: Recorded elements, and there all those of undefined length, in data set order.
        all_defined: No element at the top level has an undefined length.
        regular: pydicom is certain to divide the bytes into the same elements as this scan.
    """

    window: bytes
    size: int
    order: str
    limits: HeaderLimits
    recorded: frozenset[int] = _NOTHING
    at_all_depths: bool = False
    elements: int = 0
    text: int = 0
    found: list[Found] = field(default_factory=list)
    all_defined: bool = True
    regular: bool = True

    def dataset(
        self, at: int, end: int, *, explicit: bool, depth: int = 0, groups: range = ALL_GROUPS
    ) -> int:
        """Return where the data set at `at` ends: after its delimiter, or before another group."""
        recorded = self.recorded if depth == 0 or self.at_all_depths else _NOTHING
        skip = self._skip_explicit if explicit else self._skip_implicit
        while end - at >= 8:
            begin = at = skip(at, end, groups, recorded)
            if end - at < 8:
                break
            tag, vr, length, value = self._element(at, explicit=explicit)
            if tag == _ITEM_END:
                self.regular &= length == 0
                return value
            if tag >> 16 not in groups:
                return at
            self._count(vr, length)
            if length == _UNDEFINED:
                at = self._undefined(value, end, explicit=explicit, depth=depth, vr=vr)
            else:
                at = self._defined(tag, value, value + length, end)
                if vr == "SQ" or (vr == "UN" and self._is_item(value, length)):
                    self._defined_sequence(value, at, explicit=explicit, depth=depth + 1)
            if recorded and length == _UNDEFINED:
                self.all_defined = False
            if tag in recorded or (recorded and length == _UNDEFINED):
                self.found.append(Found(tag, vr if explicit else None, begin, value, at))
        self.regular &= depth == 0 or at == end
        return end

    def _skip_explicit(self, at: int, end: int, groups: range, recorded: frozenset[int]) -> int:
        """Return where the first element from `at` on begins that `dataset` must examine.

        The elements before it have a known VR, are not nested, and lie within window and limits. This
        is the fast path of `dataset`: most headers consist of such elements.
        """
        window, layouts, limits = self.window, _LAYOUTS[self.order], self.limits
        unpack, unpack_length, plain = layouts.explicit.unpack_from, layouts.length, _PLAIN.get
        last = min(end, len(window), limits.max_bytes)
        elements, text = self.elements, self.text
        while at + 12 <= last and elements < limits.max_elements:
            group, number, vr, length = unpack(window, at)
            kind = plain(vr)
            if kind is None or group not in groups or group == 0xFFFE:
                break
            before, multi_valued, name = kind
            if before == 12:
                (length,) = unpack_length.unpack_from(window, at + 8)
            after = at + before + length
            if after > last or (multi_valued and text + length > limits.max_text):
                break
            if multi_valued:
                text += length
            elements += 1
            if recorded and (tag := group << 16 | number) in recorded:
                self.found.append(Found(tag, name, at, at + before, after))
            at = after
        self.elements, self.text = elements, text
        return at

    def _skip_implicit(self, at: int, end: int, groups: range, recorded: frozenset[int]) -> int:
        """Return what `_skip_explicit` does, for elements in implicit VR."""
        window, limits = self.window, self.limits
        unpack = _LAYOUTS[self.order].implicit.unpack_from
        last = min(end, len(window), limits.max_bytes)
        elements, text = self.elements, self.text
        while at + 8 <= last and elements < limits.max_elements:
            group, number, length = unpack(window, at)
            tag = group << 16 | number
            vr = usual_vr(tag)
            after = at + 8 + length
            if group not in groups or group == 0xFFFE or vr in {"SQ", "UN"} or after > last:
                break
            if vr in _MULTI_VALUED:
                if text + length > limits.max_text:
                    break
                text += length
            elements += 1
            if tag in recorded:
                self.found.append(Found(tag, None, at, at + 8, after))
            at = after
        self.elements, self.text = elements, text
        return at

    def _element(self, at: int, *, explicit: bool) -> tuple[int, str, int, int]:
        """Return tag, VR, length and offset of the value (PS3.5 7.1.2, 7.1.3)."""
        layouts = _LAYOUTS[self.order]
        group, number, raw_vr, length = self._unpack(layouts.explicit, at)
        tag = group << 16 | number
        if tag != _ITEM_END:
            self.regular &= group != 0xFFFE and (not explicit or raw_vr in _KNOWN)
        if group == 0xFFFE or not explicit or not looks_like_vr(raw_vr):
            return tag, usual_vr(tag), self._unpack(layouts.length, at + 4)[0], at + 8
        vr = raw_vr.decode("ascii")
        if vr in EXPLICIT_VR_LENGTH_32:
            return tag, vr, self._unpack(layouts.length, at + 8)[0], at + 12
        return tag, vr, length, at + 8

    def _defined(self, tag: int, value: int, after: int, end: int) -> int:
        """Return where an element of defined length ends.

        Raises:
            InvalidDataset: It is longer than what is left.
        """
        if after > end:
            raise InvalidDataset(
                f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) declares {after - value} bytes "
                f"where {max(0, end - value)} are left"
            )
        self._reach(after)
        return after

    def _undefined(self, at: int, end: int, *, explicit: bool, depth: int, vr: str) -> int:
        """Return where the value at `at` of an element of undefined length ends."""
        self.regular &= vr == "SQ"
        nested = vr in {"SQ", "UN"}
        return self._items(at, end, explicit=explicit, depth=depth + 1, nested=nested)

    def _items(self, at: int, end: int, *, explicit: bool, depth: int, nested: bool) -> int:
        """Return where the items at `at` end: after their delimiter, or at `end` (PS3.5 7.5)."""
        if depth > self.limits.max_depth:
            raise LimitExceeded(f"sequences are nested deeper than {self.limits.max_depth}")
        while end - at >= 8:
            group, number, length = self._unpack(_LAYOUTS[self.order].implicit, at)
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
            if length == _UNDEFINED:
                at = after
            else:
                self.regular &= after == stop
                at = stop
        self.regular = False
        return end

    def _item(self, at: int, stop: int, *, explicit: bool, depth: int) -> int:
        # An item in an explicit VR data set may be in implicit VR, but not vice versa (PS3.5 6.2.2).
        if explicit and stop - at >= 8:
            explicit = looks_like_vr(self._unpack(_VR, at + 4)[0])
        return self.dataset(at, stop, explicit=explicit, depth=depth)

    def _defined_sequence(self, at: int, end: int, *, explicit: bool, depth: int) -> None:
        regular = self.regular
        try:
            self._items(at, end, explicit=explicit, depth=depth, nested=True)
        except InvalidDataset:
            pass  # its own length is right, so only this element is lost: `decode_values` removes it
        finally:
            # pydicom reads an element of defined length as a whole, whatever it contains.
            self.regular = regular

    def _is_item(self, at: int, length: int) -> bool:
        return length >= 8 and self._unpack(_LAYOUTS[self.order].tag, at) == (0xFFFE, 0xE000)

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

    def _unpack(self, layout: Struct, at: int) -> tuple[Any, ...]:
        end = at + layout.size
        if end > self.size:
            raise InvalidDataset("the data set ends within an element")
        self._reach(end)
        return layout.unpack_from(self.window, at)


def looks_like_vr(raw: bytes) -> bool:
    """Return whether two bytes are a VR: two capitals, known or not; anything else is a length.

    pydicom uses the same rule, so it reads the same elements as the scan.
    """
    return 0x41 <= raw[0] <= 0x5A and 0x41 <= raw[1] <= 0x5A


@lru_cache(maxsize=4096)
def usual_vr(tag: int) -> str:
    """Return the VR of a tag in the data dictionary, UN if it is not listed."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
