"""The header of an untrusted DICOM file: every element before the pixels, read under limits.

The bytes are first walked without decoding (`_Walk`): where the pixels begin, how many elements and
how deep, whether each length fits. Only what passed is given to pydicom, so a length that lies or a
data set made to exhaust memory is refused before anything is allocated for it (PS3.5 7.1, 7.5).
"""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from dicom.errors import InvalidDataset, LimitExceeded, MissingAttribute
from dicom.identifiers import check_uid

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_ALL_GROUPS: Final = range(0x10000)
_FILE_META: Final = range(2, 3)
_BEFORE_PIXELS: Final = range(0x7FE0)
_FIRST_WINDOW: Final = 64 * 2**10
# VRs whose values pydicom splits at backslashes into one object each.
_MULTI_VALUED: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"}
)
# Without these the pixels would be decoded by a guess: unreadable is worse than absent.
_DECISIVE: Final = frozenset(
    {
        0x00280002,  # Samples per Pixel
        0x00280004,  # Photometric Interpretation
        0x00280008,  # Number of Frames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280100,  # Bits Allocated
        0x00280101,  # Bits Stored
        0x00280102,  # High Bit
        0x00280103,  # Pixel Representation
        0x00281052,  # Rescale Intercept
        0x00281053,  # Rescale Slope
    }
)
# What pydicom raises on bytes that are not what they say. MemoryError comes from lengths that lie.
PYDICOM_ERRORS: Final = (
    ValueError,  # with UnicodeError and BytesLengthException
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    OSError,
    EOFError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    struct.error,
    InvalidDicomError,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The UIDs that place an instance; each is valid."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str


DEFAULT_LIMITS: Final = HeaderLimits()


def read_header(path: Path, limits: HeaderLimits = DEFAULT_LIMITS) -> Dataset:
    """Return every element before the pixels, all decoded, with `file_meta` naming the encoding.

    PS3.10 files and bare data sets (no preamble, no file meta group) are read; for a bare one
    `file_meta.TransferSyntaxUID` is what its first element looks like. Elements whose value cannot be
    decoded are left out, so that reading an attribute of the result does not raise ValueError.

    Args:
        path: The file.
        limits: What the header may ask of us.

    Raises:
        InvalidDataset: It cannot be opened, is not DICOM, a length does not fit, or an attribute
            that decides what the pixels mean cannot be decoded.
        LimitExceeded: It asks for more than `limits`.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, limits)
    except OSError as error:
        raise InvalidDataset(f"the file cannot be read: {error.strerror}") from None


def check_identity(header: Dataset) -> Identity:
    """Return the UIDs of a header.

    Raises:
        MissingAttribute: One is absent or empty; each is type 1 (PS3.3 C.12.1, C.7.2.1, C.7.3.1).
        InvalidIdentifier: One is not a valid UID.
    """
    return Identity(
        sop_instance_uid=_uid(header, "SOPInstanceUID"),
        sop_class_uid=_uid(header, "SOPClassUID"),
        study_instance_uid=_uid(header, "StudyInstanceUID"),
        series_instance_uid=_uid(header, "SeriesInstanceUID"),
    )


def _uid(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if not value:
        raise MissingAttribute(f"{keyword} is missing")
    return check_uid(value, keyword)


class _NeedMoreBytes(Exception):
    """The walk reached the end of its window, not of the data set."""


class _Readable(Protocol):
    def read(self, length: int, /) -> bytes: ...


class _Inflating:
    """A deflated data set as a stream of what it inflates to, never more than is asked (PS3.5 A.5)."""

    def __init__(self, deflated: BinaryIO) -> None:
        self._deflated = deflated
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, length: int, /) -> bytes:
        parts = []
        while length > 0 and not self._inflate.eof:
            fed = self._inflate.unconsumed_tail or self._deflated.read(_FIRST_WINDOW)
            if not fed:
                break
            try:
                part = self._inflate.decompress(fed, length)
            except zlib.error:
                raise InvalidDataset("the deflated data set cannot be inflated") from None
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class _Source:
    """The first bytes of a stream, as many as a walk needs; `size` is exact once the end was seen."""

    def __init__(self, stream: _Readable, size: int | None = None) -> None:
        self._stream = stream
        self.bytes = b""
        self.size = 2**62 if size is None else size

    def grow(self, length: int) -> None:
        self.bytes += self._stream.read(length - len(self.bytes))
        if len(self.bytes) < length:
            self.size = len(self.bytes)


@dataclass(slots=True)
class _Walk:
    """One pass over undecoded elements that only measures and counts; `order` is "<" or ">"."""

    window: bytes
    size: int
    order: str
    limits: HeaderLimits
    elements: int = 0
    text: int = 0

    def dataset(
        self, at: int, end: int, *, explicit: bool, depth: int = 0, groups: range = _ALL_GROUPS
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
        if group == 0xFFFE or not explicit or not _looks_like_vr(raw_vr):
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
            explicit = _looks_like_vr(self._unpack("2s", at + 4)[0])
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
            raise _NeedMoreBytes

    def _unpack(self, layout: str, at: int) -> tuple[Any, ...]:
        unpacker = struct.Struct(self.order + layout)
        end = at + unpacker.size
        if end > self.size:
            raise InvalidDataset("the data set ends within an element")
        self._reach(end)
        return unpacker.unpack_from(self.window, at)


def _looks_like_vr(raw: bytes) -> bool:
    # pydicom's own rule: two capitals are a VR, known or not; anything else is a length.
    return 0x41 <= raw[0] <= 0x5A and 0x41 <= raw[1] <= 0x5A


def _usual_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _read(file: BinaryIO, size: int, limits: HeaderLimits) -> Dataset:
    source = _Source(file, size)
    source.grow(_FIRST_WINDOW)
    start = 132 if source.bytes[128:132] == b"DICM" else 0
    if start == 0:
        _check_bare(source.bytes)
    meta, at = _read_file_meta(source, start, limits)
    syntax = UID(str(meta.get("TransferSyntaxUID") or _guess_syntax(source.bytes, at)))
    meta.TransferSyntaxUID = syntax
    if syntax == DeflatedExplicitVRLittleEndian:
        file.seek(at)
        source, at = _Source(_Inflating(file)), 0
    header = _read_elements(
        source,
        at,
        limits,
        explicit=syntax != ImplicitVRLittleEndian,
        order=">" if syntax == ExplicitVRBigEndian else "<",
        groups=_BEFORE_PIXELS,
    )[0]
    if not header:
        raise InvalidDataset("the data set is empty")
    _decode_values(header)
    header.file_meta = meta
    return header


def _check_bare(start: bytes) -> None:
    if len(start) < 8:
        raise InvalidDataset(f"not a DICOM file: {len(start)} bytes")
    little, big = struct.unpack_from("<H", start)[0], struct.unpack_from(">H", start)[0]
    if not (0 < min(little, big) <= 0x10):
        raise InvalidDataset("not a DICOM file: no DICM prefix, and no data set begins it")


def _read_file_meta(source: _Source, at: int, limits: HeaderLimits) -> tuple[FileMetaDataset, int]:
    if source.bytes[at : at + 2] != b"\x02\x00":
        return FileMetaDataset(), at
    elements, end = _read_elements(source, at, limits, explicit=True, order="<", groups=_FILE_META)
    _decode_values(elements)
    try:
        return FileMetaDataset(elements), end
    except PYDICOM_ERRORS:
        raise InvalidDataset("the file meta group cannot be read") from None


def _guess_syntax(start: bytes, at: int) -> UID:
    """Return the uncompressed transfer syntax that the first element at `at` is written in."""
    if start[at : at + 1] == b"\x00":
        return ExplicitVRBigEndian
    explicit = len(start) >= at + 6 and _looks_like_vr(start[at + 4 : at + 6])
    return ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian


def _read_elements(
    source: _Source, at: int, limits: HeaderLimits, *, explicit: bool, order: str, groups: range
) -> tuple[Dataset, int]:
    """Return the elements of `groups`, values undecoded, and where they end."""
    end = _walk(source, at, limits, explicit=explicit, order=order, groups=groups)
    stream = BytesIO(source.bytes[at:end])
    try:
        return read_dataset(stream, not explicit, order == "<"), end
    except PYDICOM_ERRORS:
        # Not chained: the words of the error beneath may quote a value.
        raise InvalidDataset("the elements of the data set cannot be read") from None


def _walk(
    source: _Source, at: int, limits: HeaderLimits, *, explicit: bool, order: str, groups: range
) -> int:
    """Return where the elements of `groups` end, with all of them in `source.bytes`."""
    length = _FIRST_WINDOW
    while True:
        source.grow(length)
        walk = _Walk(source.bytes, source.size, order, limits)
        written_explicit = explicit
        if len(source.bytes) >= at + 6:
            # Some writers declare one encoding and use the other; the first element tells.
            written_explicit = _looks_like_vr(source.bytes[at + 4 : at + 6])
        try:
            return walk.dataset(at, source.size, explicit=written_explicit, groups=groups)
        except _NeedMoreBytes:
            length *= 4


def _decode_values(dataset: Dataset) -> None:
    """Decode each value now, where an error can be answered, and leave out what cannot be."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except PYDICOM_ERRORS:
            if tag in _DECISIVE:
                raise InvalidDataset(f"the value of {tag} cannot be read") from None
            del dataset[tag]
            continue
        if element.VR == VR.SQ:
            for item in element.value:
                _decode_values(item)
