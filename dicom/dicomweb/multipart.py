"""Incremental parser of multipart/related bodies (RFC 2046 5.1, RFC 2387).

    bytes ──feed()──▶ PartBegins, bytes, bytes, PartEnds, PartBegins, ... ──end()──▶ complete

Memory is bounded for any input: at most the fed piece and the headers of one part are held.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dicom.errors import DicomError

_LONGEST_PADDING: Final = 256
_LONGEST_PREAMBLE: Final = 4096
# bchars of RFC 2046 5.1.1, no space at the end. The RFC allows 70 characters; Orthanc's plugin sends 73.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,127}[0-9A-Za-z'()+_,\-./:=?]")
_MEDIA_TYPE: Final = re.compile(r"\s*([\w!#$&^.+-]+/[\w!#$&^.+-]+)\s*", re.ASCII)
_PARAMETER: Final = re.compile(
    r';\s*([\w!#$%&\'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))\s*', re.ASCII
)


class InvalidMultipart(DicomError):
    """The bytes are not a valid multipart body."""


class TooManyParts(InvalidMultipart):
    """The body has more parts than `MultipartLimits.max_parts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipartLimits:
    """Limits of a multipart body; the receiver of a part limits its length."""

    max_parts: int = 1000
    max_header_bytes: int = 8 * 2**10
    max_headers: int = 32


@dataclass(frozen=True, slots=True)
class PartBegins:
    """The headers of a part are complete, names in lower case; its content follows."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The content of the part is complete."""


Event = PartBegins | memoryview | PartEnds


class MultipartReader:
    """Parses a body, fed in pieces of any length, into events."""

    def __init__(self, boundary: str, limits: MultipartLimits | None = None) -> None:
        """Store the boundary parameter of the Content-Type, and the limits (None for the defaults)."""
        self._limits = limits or MultipartLimits()
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._buffer = b"\r\n"  # a delimiter includes CR LF, which the first one may lack
        self._at = 0
        self._skipped = 0
        self._parts = 0
        self._step: Callable[[], Event | bool] = self._preamble

    def feed(self, *pieces: bytes) -> None:
        """Add the next bytes of the body; consume all `events` first, so that only one piece is held."""
        self._buffer = b"".join([memoryview(self._buffer)[self._at :], *pieces])
        self._at = 0

    def events(self) -> Iterator[Event]:
        """Yield the events in the bytes so far; content as memoryviews that remain valid.

        Raises:
            InvalidMultipart: The bytes do not follow RFC 2046, or a part's headers are too long or too
                many.
            TooManyParts: More than `max_parts` parts begin.
        """
        while True:
            found = self._step()
            if found is False:
                return
            if not isinstance(found, bool):
                yield found

    def end(self) -> None:
        """Check that the body was complete.

        Raises:
            InvalidMultipart: Its closing delimiter is missing.
        """
        if self._step != self._epilogue:
            raise InvalidMultipart("the body ends without its closing delimiter")

    # Each step returns an event, True to continue without one, or False if it needs more bytes.

    def _preamble(self) -> bool:
        found = self._buffer.find(self._delimiter, self._at)
        if found < 0:
            stop = max(self._at, len(self._buffer) - len(self._delimiter) + 1)
            self._skipped += stop - self._at
            self._at = stop
            if self._skipped > _LONGEST_PREAMBLE:
                raise InvalidMultipart("the body does not begin with the announced boundary")
            return False
        return self._go_on(found + len(self._delimiter), self._delimiter_line)

    def _delimiter_line(self) -> bool:
        """Distinguish the closing delimiter from one before a part."""
        if self._buffer.startswith(b"--", self._at):
            return self._go_on(self._at + 2, self._epilogue)
        end = self._buffer.find(b"\r\n", self._at)
        padding = self._buffer[self._at : end if end >= 0 else None]
        # Not enough bytes yet to distinguish "--" from CR LF.
        if end < 0 and padding in {b"", b"-"}:
            return False
        if padding.strip(b" \t\r") or len(padding) > _LONGEST_PADDING:
            raise InvalidMultipart("a delimiter is followed by characters other than a line end")
        if end < 0:
            return False
        self._parts += 1
        if self._parts > self._limits.max_parts:
            raise TooManyParts(f"the body has more than {self._limits.max_parts} parts")
        return self._go_on(end, self._headers)

    def _headers(self) -> PartBegins | bool:
        longest = self._limits.max_header_bytes
        end = self._buffer.find(b"\r\n\r\n", self._at, self._at + longest + 4)
        stop = end if end >= 0 else len(self._buffer)
        if stop - self._at > longest:
            raise InvalidMultipart(f"the headers of a part are longer than {longest} bytes")
        if end < 0:
            return False
        headers = self._parsed(self._buffer[self._at : end])
        self._go_on(end + 4, self._content)
        return PartBegins(headers)

    def _parsed(self, block: bytes) -> dict[str, str]:
        lines = block.decode("latin-1").split("\r\n")[1:]
        if len(lines) > self._limits.max_headers:
            raise InvalidMultipart(f"a part has more than {self._limits.max_headers} headers")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name.strip() or name[0] in " \t":
                raise InvalidMultipart("a part has a malformed header line")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _content(self) -> Event | bool:
        begin = self._at
        found = self._buffer.find(self._delimiter, begin)
        if found == begin:
            self._go_on(found + len(self._delimiter), self._delimiter_line)
            return PartEnds()
        # The last bytes may be the start of a delimiter.
        stop = found if found >= 0 else len(self._buffer) - len(self._delimiter) + 1
        if stop <= begin:
            return False
        self._at = stop
        return memoryview(self._buffer)[begin:stop]

    def _epilogue(self) -> bool:
        self._at = len(self._buffer)
        return False

    def _go_on(self, at: int, step: Callable[[], Event | bool]) -> bool:
        self._at, self._step = at, step
        return True


def media_type(value: str) -> tuple[str, dict[str, str]]:
    """Return a Content-Type's media type in lower case and its unquoted parameters (RFC 9110 8.3.1).

    Raises:
        InvalidMultipart: `value` is not a valid Content-Type.
    """
    start = _MEDIA_TYPE.match(value)
    parameters: dict[str, str] = {}
    at = start.end() if start else 0
    while start and at < len(value):
        found = _PARAMETER.match(value, at)
        if found is None:
            break
        name, quoted, plain = found.groups()
        given = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        parameters.setdefault(name.lower(), given)
        at = found.end()
    if start is None or value[at:].strip(" \t;"):
        raise InvalidMultipart("the Content-Type cannot be read")
    return start.group(1).lower(), parameters


def check_boundary(value: str) -> str:
    """Return `value` if it is a boundary by RFC 2046 5.1.1, or a longer one of up to 128 characters.

    Raises:
        InvalidMultipart: It is empty, too long or contains other characters.
    """
    if not _BOUNDARY.fullmatch(value):
        raise InvalidMultipart("the Content-Type has no boundary of 1 to 128 allowed characters")
    return value


def first_part_pieces(content_type: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of the first part of a multipart body, or the whole of any other body.

    Raises:
        InvalidMultipart: The Content-Type is invalid, or the body does not match it.
    """
    kind, parameters = media_type(content_type)
    if not kind.startswith("multipart/"):
        yield from pieces
        return
    reader = MultipartReader(check_boundary(parameters.get("boundary", "")))
    for piece in pieces:
        reader.feed(piece)
        for event in reader.events():
            if isinstance(event, PartEnds):
                return
            if not isinstance(event, PartBegins):
                yield bytes(event)
    raise InvalidMultipart("the body ends within its first part")
