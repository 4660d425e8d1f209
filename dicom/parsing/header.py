"""The header of an untrusted DICOM file: every element before the pixels, read under limits.

The bytes are first scanned without decoding (`dicom.parsing.element_scanner`): where the pixels
begin, how many elements there are and how deep, whether each length fits. Only what passed is given
to pydicom, so a wrong length or a data set made to exhaust memory is refused before memory is
allocated for it.
"""

import re
import struct
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

from dicom.errors import InvalidDataset, LimitExceeded, MissingAttribute
from dicom.identifiers import check_uid
from dicom.parsing.byte_source import WINDOW, Inflating, Source
from dicom.parsing.element_scanner import ElementScanner, HeaderLimits, NeedMoreBytes, looks_like_vr
from dicom.parsing.pixel_data import PixelData, find_pixel_data
from dicom.parsing.value_decoding import (
    CHARACTER_SET,
    DECISIVE,
    PYDICOM_ERRORS,
    decode_values,
    join_repeated,
    read_found,
)
from dicom.study import Instance

_FILE_META: Final = range(2, 3)
_BEFORE_PIXELS: Final = range(0x7FE0)
_NAMES_SYNTAX: Final = BaseTag(0x00020010)
_TRANSFER_SYNTAX: Final = frozenset({_NAMES_SYNTAX, CHARACTER_SET})
# Specific Character Set: its tag as written in either byte order.
_TAG_BYTES: Final = {"<": b"\x08\x00\x05\x00", ">": b"\x00\x08\x00\x05"}
_ALWAYS: Final = DECISIVE | {CHARACTER_SET}
_UID: Final = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The UIDs that identify an Instance and its place; each is valid."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str

    def instance(self, path: Path, *, digest: str, size: int, transfer_syntax_uid: str) -> Instance:
        """Return the Instance with these UIDs in the file `path`."""
        return Instance(
            sop_instance_uid=self.sop_instance_uid,
            sop_class_uid=self.sop_class_uid,
            series_instance_uid=self.series_instance_uid,
            study_instance_uid=self.study_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            path=path,
            digest=digest,
            size=size,
        )


DEFAULT_LIMITS: Final = HeaderLimits()


def read_header(
    path: Path,
    limits: HeaderLimits = DEFAULT_LIMITS,
    *,
    only: Collection[int] | None = None,
    strict: bool = True,
) -> Dataset:
    """Return every element before the pixels, all decoded, with the transfer syntax in `file_meta`.

    Both PS3.10 files and bare data sets (no preamble, no file meta group) are read; for a bare one
    `file_meta.TransferSyntaxUID` is guessed from its first element. Elements whose value cannot be
    decoded are left out, so that reading an attribute of the result does not raise ValueError.

    Args:
        path: The file.
        limits: Upper limits of the header.
        only: Tags of the elements to decode, None for all: decoding takes most of the time. The
            others, and of the file meta group all but the transfer syntax, count towards the limits
            and are left out; those that decide what the pixels mean are always read.
        strict: Raise if an attribute that decides what the pixels mean cannot be decoded. Pass False
            if no pixels are read: it is left out like any other.

    Raises:
        InvalidDataset: It cannot be opened, is not DICOM, a length does not fit, or, if `strict`, an
            attribute that decides what the pixels mean cannot be decoded.
        LimitExceeded: It exceeds `limits`.
    """
    try:
        with path.open("rb") as file:
            recorded = None if only is None else _ALWAYS.union(only)
            return _read(file, path.stat().st_size, limits, recorded, strict=strict)[0]
    except OSError as error:
        raise InvalidDataset(f"the file cannot be read: {error.strerror}") from None


def read_encoded_header(
    encoded: bytes, limits: HeaderLimits = DEFAULT_LIMITS, *, only: Collection[int] | None = None
) -> Dataset:
    """Return what `read_header`, not strict, returns for a file with these bytes.

    Raises:
        InvalidDataset: As for `read_header`.
        LimitExceeded: The header exceeds `limits`.
    """
    recorded = None if only is None else _ALWAYS.union(only)
    return _read(BytesIO(encoded), len(encoded), limits, recorded, strict=False)[0]


def read_arriving_header(
    head: bytes, *, size: int, transfer_syntax_uid: str, path: Path, only: Collection[int]
) -> Dataset:
    """Return what `read_header`, not strict, returns for a file while it is being received.

    In most cases the file is not opened. A value that cannot be decoded is no reason to refuse the
    Instance: its Study ends as not analyzed, with the reason.

    Args:
        head: The first bytes of its data set; all of them, or enough for most headers.
        size: Length of the data set in bytes.
        transfer_syntax_uid: As in its file meta group; "" if absent.
        path: The file; read if `head` does not hold the whole header, or its encoding is not certain.
        only: Tags of the elements to decode.

    Raises:
        InvalidDataset: As for `read_header`.
        LimitExceeded: It exceeds `DEFAULT_LIMITS`.
    """
    if _tells_its_encoding(head, size, transfer_syntax_uid):
        syntax = UID(transfer_syntax_uid)
        walk = ElementScanner(head, size, _order(syntax), DEFAULT_LIMITS, _ALWAYS.union(only))
        with suppress(NeedMoreBytes):
            elements = _walked(
                walk, 0, explicit=syntax != ImplicitVRLittleEndian, groups=_BEFORE_PIXELS
            )
            named = DataElement(_NAMES_SYNTAX, VR.UI, syntax, already_converted=True)
            meta = FileMetaDataset({_NAMES_SYNTAX: named})
            return _header(elements, 0, meta, strict=False)
    return read_header(path, only=only, strict=False)


def _tells_its_encoding(head: bytes, size: int, transfer_syntax_uid: str) -> bool:
    """Return whether a data set can be read without the bytes that precede it in its file."""
    return (
        # Otherwise it is too short for an element, or `_read` takes its start for a file meta group.
        (size >= 16 and not head.startswith((b"\x02\x00", b"\xfe\xff")))
        and _UID.fullmatch(transfer_syntax_uid) is not None
        and transfer_syntax_uid != DeflatedExplicitVRLittleEndian
    )


def read_pixel_elements(
    path: Path, max_bytes: int, limits: HeaderLimits = DEFAULT_LIMITS
) -> Dataset:
    """Return the elements that `read_header` leaves out: group 7FE0 and what follows, undecoded.

    Args:
        path: The file.
        max_bytes: Length of the longest data set that is read, inflated if deflated.
        limits: Upper limits of the header.

    Raises:
        InvalidDataset: As for `read_header`, not strict; or the pixel elements cannot be read.
        LimitExceeded: The header exceeds `limits`, or the whole data set `max_bytes`.
    """
    encoded, header = _after_header(path, max_bytes, limits)
    implicit, little_endian = header.original_encoding
    try:
        return read_dataset(BytesIO(encoded), bool(implicit), bool(little_endian))
    except PYDICOM_ERRORS:
        raise InvalidDataset("the pixel data cannot be read") from None


def read_pixel_data(path: Path, max_bytes: int, limits: HeaderLimits = DEFAULT_LIMITS) -> PixelData:
    """Return the value of Pixel Data; ignore what follows it in the file.

    Args:
        path: The file.
        max_bytes: Length of the longest data set that is read, inflated if deflated.
        limits: Upper limits of the header.

    Raises:
        InvalidDataset: As for `read_header`, not strict.
        LimitExceeded: As for `read_pixel_elements`, or as `find_pixel_data`.
        PixelError: There is no Pixel Data, or the file ends within it.
    """
    encoded, header = _after_header(path, max_bytes, limits)
    implicit, little_endian = header.original_encoding
    return find_pixel_data(encoded, explicit=not implicit, order="<" if little_endian else ">")


def _after_header(path: Path, max_bytes: int, limits: HeaderLimits) -> tuple[bytes, Dataset]:
    """Return the bytes of a data set after its header, and the header."""
    try:
        with path.open("rb") as file:
            header, source, at = _read(file, path.stat().st_size, limits, strict=False)
            source.grow(min(source.size, max_bytes + 1))
    except OSError as error:
        raise InvalidDataset(f"the file cannot be read: {error.strerror}") from None
    if len(source.bytes) > max_bytes:
        raise LimitExceeded(f"the data set is longer than {max_bytes} bytes")
    return source.bytes[at:], header


def read_file_start(start: bytes, limits: HeaderLimits) -> tuple[FileMetaDataset, int]:
    """Return the file meta group of a PS3.10 file and the offset of its data set (PS3.10 7.1).

    Args:
        start: The file's first bytes, the whole file meta group included.
        limits: Upper limits of the group.

    Raises:
        InvalidDataset: There is no DICM prefix, the group cannot be read, or it does not end in `start`.
        LimitExceeded: It exceeds `limits`.
    """
    if start[128:132] != b"DICM":
        raise InvalidDataset("not a DICOM file: no DICM prefix")
    source = Source(BytesIO(start), len(start))
    source.grow(len(start))
    return _read_file_meta(source, 132, limits)


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


def _read(
    file: BinaryIO,
    size: int,
    limits: HeaderLimits,
    only: frozenset[int] | None = None,
    *,
    strict: bool,
) -> tuple[Dataset, Source, int]:
    """Return the header, the source it was read from, and the offset of its end there."""
    source = Source(file, size)
    source.grow(WINDOW)
    start = 132 if source.bytes[128:132] == b"DICM" else 0
    if start == 0:
        _check_bare(source.bytes)
    meta, at = _read_file_meta(source, start, limits, only and _TRANSFER_SYNTAX)
    syntax = UID(str(meta.get("TransferSyntaxUID") or _guess_syntax(source.bytes, at)))
    meta.TransferSyntaxUID = syntax
    if syntax == DeflatedExplicitVRLittleEndian:
        file.seek(at)
        source, at = Source(Inflating(file)), 0
    elements = _read_elements(
        source,
        at,
        limits,
        explicit=syntax != ImplicitVRLittleEndian,
        order=_order(syntax),
        groups=_BEFORE_PIXELS,
        only=only,
    )
    return _header(elements, at, meta, strict=strict), source, elements[1]


def _order(syntax: UID) -> str:
    return ">" if syntax == ExplicitVRBigEndian else "<"


def _header(
    elements: tuple[Dataset, int], at: int, meta: FileMetaDataset, *, strict: bool
) -> Dataset:
    """Return the decoded elements that were read from `at` on, with their file meta group.

    Raises:
        InvalidDataset: There are none; or, if `strict`, one that decides what the pixels mean cannot
            be decoded.
    """
    header, end = elements
    if end == at:
        raise InvalidDataset("the data set is empty")
    decode_values(header, strict=strict)
    header.file_meta = meta
    return header


def _check_bare(start: bytes) -> None:
    if len(start) < 8:
        raise InvalidDataset(f"not a DICOM file: {len(start)} bytes")
    little, big = struct.unpack_from("<H", start)[0], struct.unpack_from(">H", start)[0]
    if not (0 < min(little, big) <= 0x10):
        raise InvalidDataset("not a DICOM file: no DICM prefix, and no data set begins it")


def _read_file_meta(
    source: Source, at: int, limits: HeaderLimits, only: frozenset[int] | None = None
) -> tuple[FileMetaDataset, int]:
    if source.bytes[at : at + 2] != b"\x02\x00":
        return FileMetaDataset(), at
    elements, end = _read_elements(
        source, at, limits, explicit=True, order="<", groups=_FILE_META, only=only
    )
    decode_values(elements)
    try:
        return FileMetaDataset(elements), end
    except PYDICOM_ERRORS:
        raise InvalidDataset("the file meta group cannot be read") from None


def _guess_syntax(start: bytes, at: int) -> UID:
    """Return the uncompressed transfer syntax in which the element at `at` is encoded."""
    if start[at : at + 1] == b"\x00":
        return ExplicitVRBigEndian
    explicit = len(start) >= at + 6 and looks_like_vr(start[at + 4 : at + 6])
    return ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian


def _read_elements(
    source: Source,
    at: int,
    limits: HeaderLimits,
    *,
    explicit: bool,
    order: str,
    groups: range,
    only: frozenset[int] | None = None,
) -> tuple[Dataset, int]:
    """Return the elements of `groups` (if given, `only` those), undecoded, and where the groups end."""
    length = WINDOW
    while True:
        source.grow(length)
        walk = ElementScanner(source.bytes, source.size, order, limits, only or frozenset())
        try:
            return _walked(walk, at, explicit=explicit, groups=groups)
        except NeedMoreBytes:
            length *= 4


def _walked(walk: ElementScanner, at: int, *, explicit: bool, groups: range) -> tuple[Dataset, int]:
    """Return the recorded elements of `groups`, undecoded, and where the groups end.

    Raises:
        InvalidDataset: Their structure is damaged.
        LimitExceeded: They exceed the limits.
        NeedMoreBytes: They do not end within the window.
    """
    written_explicit = explicit
    if len(walk.window) >= at + 6:
        # Some writers declare explicit VR and use implicit, or vice versa: the first element decides.
        written_explicit = looks_like_vr(walk.window[at + 4 : at + 6])
    end = walk.dataset(at, walk.size, explicit=written_explicit, groups=groups)
    plain = walk.recorded and walk.regular and walk.all_defined
    if not plain or walk.window.count(_TAG_BYTES[walk.order], at, end) > 1:
        _cut_character_sets(walk, at, explicit=written_explicit, groups=groups)
    try:
        elements = read_found(walk, explicit=written_explicit) if walk.recorded else None
        if elements is None:
            elements = _read_all(walk, at, end, explicit=explicit, found=written_explicit)
    except PYDICOM_ERRORS:
        # Not chained: the message of pydicom's error may quote a value.
        raise InvalidDataset("the elements of the data set cannot be read") from None
    if walk.recorded:
        join_repeated(elements, walk)
    return elements, end


def _cut_character_sets(walk: ElementScanner, at: int, *, explicit: bool, groups: range) -> None:
    """Blank what follows a NUL in each Specific Character Set (0008,0005), at any depth.

    Archives read a value up to its first NUL; pydicom would refuse the whole data set.
    """
    recorded = frozenset({CHARACTER_SET})
    search = ElementScanner(
        walk.window, walk.size, walk.order, walk.limits, recorded, at_all_depths=True
    )
    search.dataset(at, walk.size, explicit=explicit, groups=groups)
    for each in search.found:
        value = walk.window[each.value : each.end]
        cut = value.partition(b"\0")[0]
        if each.tag == CHARACTER_SET and len(cut) < len(value.rstrip(b"\0 ")):
            blanked = cut.ljust(len(value))
            walk.window = walk.window[: each.value] + blanked + walk.window[each.end :]


def _read_all(walk: ElementScanner, at: int, end: int, *, explicit: bool, found: bool) -> Dataset:
    """Return what pydicom reads from the scanned elements, if safe from the recorded ones alone."""
    encoded = walk.window[at:end]
    if walk.recorded and walk.regular:
        picked = b"".join([walk.window[each.begin : each.end] for each in walk.found])
        # pydicom also decides by the first element, and here another element comes first.
        if len(picked) >= 6 and looks_like_vr(picked[4:6]) == found:
            encoded, explicit = picked, found
    tags = list[BaseTag | int](walk.recorded) or None
    return read_dataset(BytesIO(encoded), not explicit, walk.order == "<", specific_tags=tags)
