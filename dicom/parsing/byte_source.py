"""The bytes that a header is read from: as many as are needed, inflated where they are deflated."""

import zlib
from typing import BinaryIO, Final, Protocol

from dicom.errors import InvalidDataset

WINDOW: Final = 64 * 2**10  # bytes that are read at first


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, length: int, /) -> bytes:
        """Return at most `length` bytes, fewer at the end only."""


class Inflating:
    """A deflated data set as a stream of what it inflates to, never more than is asked (PS3.5 A.5)."""

    def __init__(self, deflated: BinaryIO) -> None:
        self._deflated = deflated
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, length: int, /) -> bytes:
        """Return at most `length` inflated bytes.

        Raises:
            InvalidDataset: They cannot be inflated.
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
    """The first bytes of a stream, as many as a walk needs; `size` is exact once the end was seen."""

    def __init__(self, stream: Readable, size: int | None = None) -> None:
        self._stream = stream
        self.bytes = b""
        self.size = 2**62 if size is None else size

    def grow(self, length: int) -> None:
        """Have the first `length` bytes, or all where there are fewer."""
        self.bytes += self._stream.read(max(0, length - len(self.bytes)))
        if len(self.bytes) < length:
            self.size = len(self.bytes)
