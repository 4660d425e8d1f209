"""The parts of a STOW-RS request become data sets in the spool, while they come (PS3.18 10.5.1).

Each part is a PS3.10 file. Its preamble and file meta group are read under limits and replaced by ours,
as for an object that came by C-STORE; its data set goes to the disk undecoded.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dicom.dicomweb.multipart import (
    InvalidMultipart,
    MultipartReader,
    PartBegins,
    PartEnds,
    media_type,
)
from dicom.errors import DicomError, InvalidDataset
from dicom.parsing.element_scanner import HeaderLimits
from dicom.parsing.header import read_file_start
from dicom.spool.incoming_file import Announced, Incoming

MEDIA_TYPE: Final = "application/dicom"
_START_BYTES: Final = 64 * 2**10  # within which a file meta group must end
_META_LIMITS: Final = HeaderLimits(max_bytes=_START_BYTES, max_elements=64, max_depth=1)
_TRANSPARENT: Final = frozenset({"", "binary", "8bit", "7bit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that has come whole: where its data set is, or why there is none.

    Attributes:
        incoming: Its data set; None when what it is could not be told.
        fault: Why nothing of it can be kept; None when `incoming` is to be kept.
    """

    incoming: Incoming | None
    fault: DicomError | None


class PartFile:
    """A PS3.10 file that comes in pieces: the part of a request, or what was fetched."""

    def __init__(
        self, headers: Mapping[str, str], announce: Callable[[Announced], Incoming], source_ae: str
    ) -> None:
        self._announce = announce
        self._source_ae = source_ae
        self._start = bytearray()
        self.incoming: Incoming | None = None
        self.fault = _header_fault(headers)

    def write(self, content: memoryview) -> None:
        """Take the next bytes; after a fault they are dropped."""
        if self.fault is not None:
            return
        if self.incoming is not None:
            self.incoming.write(content)
            return
        self._start += content[:_START_BYTES]
        if len(self._start) >= _START_BYTES:
            self._begin()
            self.write(content[_START_BYTES:])

    def end(self) -> Part:
        """Return what came, after the last bytes."""
        if self.fault is None and self.incoming is None:
            self._begin()
        fault = self.fault or (self.incoming.fault if self.incoming else None)
        return Part(incoming=self.incoming, fault=fault)

    def _begin(self) -> None:
        """Learn from its first bytes what it is, and let the data set among them go to the disk."""
        try:
            meta, at = read_file_start(bytes(self._start), _META_LIMITS)
        except DicomError as error:
            self.fault = error
            return
        announced = Announced(
            sop_class_uid=str(meta.get("MediaStorageSOPClassUID", "")),
            sop_instance_uid=str(meta.get("MediaStorageSOPInstanceUID", "")),
            transfer_syntax_uid=str(meta.get("TransferSyntaxUID", "")),
            source_ae=self._source_ae,
        )
        self.incoming = self._announce(announced)
        self.incoming.write(memoryview(self._start)[at:])
        self._start = bytearray()


class PartStream:
    """The parts of one request; used by one thread at a time."""

    def __init__(
        self,
        reader: MultipartReader,
        announce: Callable[[Announced], Incoming],
        source_ae: str,
    ) -> None:
        """Take the multipart reader, what opens a place for an announced data set, and who sends."""
        self._reader = reader
        self._announce = announce
        self._source_ae = source_ae
        self._open: PartFile | None = None
        self._fault: InvalidMultipart | None = None

    def feed(self, *pieces: bytes) -> None:
        """Take the next bytes of the body; `advance` must have said that there is nothing more."""
        self._reader.feed(*pieces)

    def advance(self, most: int, parts: deque[Part]) -> None:
        """Add at most `most` parts that are whole now; none when more bytes are needed.

        Args:
            most: So many at once.
            parts: Empty; each is added as soon as it is whole, whatever fails after it.

        Raises:
            InvalidMultipart: The body cannot be read any further; all parts before were added.
        """
        if self._fault is not None:
            raise self._fault
        try:
            for event in self._reader.events():
                if isinstance(event, PartBegins):
                    self._open = PartFile(event.headers, self._announce, self._source_ae)
                elif isinstance(event, PartEnds):
                    parts.append(self._opened().end())
                    self._open = None
                    if len(parts) == most:
                        break
                else:
                    self._opened().write(event)
        except InvalidMultipart as error:
            self._fault = error
            if not parts:
                raise

    def _opened(self) -> PartFile:
        if self._open is None:
            raise InvalidMultipart("content outside of a part")
        return self._open

    def end(self) -> None:
        """Return when the body was whole.

        Raises:
            InvalidMultipart: It was not.
        """
        self._reader.end()

    def discard(self) -> None:
        """Leave nothing of the part that has not come whole."""
        if self._open is not None and self._open.incoming is not None:
            self._open.incoming.discard()
        self._open = None


def _header_fault(headers: Mapping[str, str]) -> DicomError | None:
    """Return why a part with these headers is no PS3.10 file as it is, or None."""
    if headers.get("content-transfer-encoding", "").lower() not in _TRANSPARENT:
        return InvalidDataset("a part is in a transfer encoding")
    try:
        kind, _ = media_type(headers.get("content-type", MEDIA_TYPE))
    except InvalidMultipart as error:
        return error
    return None if kind == MEDIA_TYPE else InvalidDataset(f"a part is not {MEDIA_TYPE}")
