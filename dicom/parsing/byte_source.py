"""Incremental reading of the first bytes of a data set, inflated if it is deflated."""

import zlib
from typing import BinaryIO, Final, Protocol

from dicom.errors import InvalidDataset

WINDOW: Final = 64 * 2**10  # bytes of the first read


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, length: int, /) -> bytes:
        """Return `length` bytes, fewer only at the end of the stream."""


class Inflating:
    """A stream that inflates a deflated data set, never by more than is read (PS3.5 A.5)."""

    def __init__(self, deflated: BinaryIO) -> None:
        self._deflated = deflated
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, length: int, /) -> bytes:
        """Return `length` inflated bytes, fewer only at the end of the stream.

        Raises:
            InvalidDataset: The deflated data is damaged.
        """
        parts = []
        while length > 0 and not self._inflate.eof:
            fed = self._inflate.unconsumed_tail or self._deflated.read(WINDOW)
            if not fed:
                break
            try:
                part = self._inflate.decompress(fed, length)
            except zlib.error:
                raise InvalidDataset("the deflated data set cannot be inflated") from None
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


class Source:
    """The first bytes of a stream, read on demand; `size` is exact once the end was reached."""

    def __init__(self, stream: Readable, size: int | None = None) -> None:
        self._stream = stream
        self.bytes = b""
        self.size = 2**62 if size is None else size

    def grow(self, length: int) -> None:
        """Read until `bytes` has the first `length` bytes, or the stream ends."""
        self.bytes += self._stream.read(max(0, length - len(self.bytes)))
        if len(self.bytes) < length:
            self.size = len(self.bytes)
