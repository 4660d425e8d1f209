"""Writes the parts of a STOW-RS request to the spool while they arrive (PS3.18 10.5.1).

Each part is a PS3.10 file. Its preamble and file meta group are read under limits and replaced by ours,
as for C-STORE; its data set is written to the disk undecoded.
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
    """A complete part: its data set, or why it cannot be stored.

    Attributes:
        incoming: Its data set; None if its file meta information could not be read.
        fault: Why it cannot be stored; None if `incoming` can be stored.
    """

    incoming: Incoming | None
    fault: DicomError | None


class PartFile:
    """A PS3.10 file that arrives in pieces: a part of a request, or a file fetched from an archive."""

    def __init__(
        self, headers: Mapping[str, str], announce: Callable[[Announced], Incoming], source_ae: str
    ) -> None:
        self._announce = announce
        self._source_ae = source_ae
        self._start = bytearray()
        self.incoming: Incoming | None = None
        self.fault = _header_fault(headers)

    def write(self, content: memoryview) -> None:
        """Add the next bytes; after a fault they are dropped."""
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
        """Return the complete part, after its last bytes."""
        if self.fault is None and self.incoming is None:
            self._begin()
        fault = self.fault or (self.incoming.fault if self.incoming else None)
        return Part(incoming=self.incoming, fault=fault)

    def _begin(self) -> None:
        """Read the file meta information and start writing the data set."""
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
    """Stores the parts of one request; used by one thread at a time."""

    def __init__(
        self,
        reader: MultipartReader,
        announce: Callable[[Announced], Incoming],
        source_ae: str,
    ) -> None:
        """Store the parameters.

        Args:
            reader: The multipart parser of the request's body.
            announce: Returns the file for an announced data set.
            source_ae: AE title of the sender.
        """
        self._reader = reader
        self._announce = announce
        self._source_ae = source_ae
        self._open: PartFile | None = None
        self._fault: InvalidMultipart | None = None

    def feed(self, *pieces: bytes) -> None:
        """Add the next bytes of the body, once `advance` adds no more parts."""
        self._reader.feed(*pieces)

    def advance(self, most: int, parts: deque[Part]) -> None:
        """Append up to `most` complete parts to `parts`; none if more bytes are needed.

        Args:
            most: Maximum number of parts to append.
            parts: Empty at the call; each part is appended as soon as it is complete, even if a later
                one fails.

        Raises:
            InvalidMultipart: The body cannot be read further; all earlier parts have been appended.
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
            # Otherwise raised at the next call, once the parts before the fault have been processed.
            if not parts:
                raise

    def _opened(self) -> PartFile:
        if self._open is None:
            raise InvalidMultipart("content outside of a part")
        return self._open

    def end(self) -> None:
        """Check that the body was complete.

        Raises:
            InvalidMultipart: Its closing delimiter is missing.
        """
        self._reader.end()

    def discard(self) -> None:
        """Remove the file of an incomplete part."""
        if self._open is not None and self._open.incoming is not None:
            self._open.incoming.discard()
        self._open = None


def _header_fault(headers: Mapping[str, str]) -> DicomError | None:
    """Return why a part with these headers is not an unencoded PS3.10 file, or None."""
    if headers.get("content-transfer-encoding", "").lower() not in _TRANSPARENT:
        return InvalidDataset("a part has an unsupported Content-Transfer-Encoding")
    try:
        kind, _ = media_type(headers.get("content-type", MEDIA_TYPE))
    except InvalidMultipart as error:
        return error
    return (
        None
        if kind == MEDIA_TYPE
        else InvalidDataset(f"the Content-Type of a part is not {MEDIA_TYPE}")
    )
