"""MLLP frames in a stream of bytes: start 0x0B, the message, end 0x1C 0x0D (HL7 v2 appendix C). Pure."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_START: Final = 0x0B
_END: Final = 0x1C
# What follows the end byte: CR by the standard, LF from some senders, nothing, or the next start.
_AFTER_END: Final = frozenset(b"\r\n\x0b")
_BETWEEN: Final = b"\r\n"
_HEAD: Final = 2**10  # bytes of a message that is too long, enough for MSH


class FramingFault(StrEnum):
    """What is wrong with bytes in the stream; the event's `reason` in the log."""

    OUTSIDE = "bytes before the start byte"
    NO_END = "a start byte within a message: the end of the earlier one is missing"
    BROKEN_END = "an end byte within a message"
    TOO_LONG = "longer than hl7.max_message_bytes"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Bytes that are no message.

    Attributes:
        fault: What is wrong.
        head: The begin of a message that is too long, else empty.
    """

    fault: FramingFault
    head: bytes = b""


class Decoder:
    """Finds messages in the pieces of a stream, however it is split."""

    def __init__(self, limit: int) -> None:
        """Take the largest size of a message in bytes."""
        self._limit = limit
        self._begun: bytearray | None = None

    @property
    def is_within_message(self) -> bool:
        """Whether a message has begun whose end has not come."""
        return self._begun is not None

    def feed(self, data: bytes) -> Iterator[bytes | Rejected]:
        """Yield the messages that are complete with these bytes, and what is rejected.

        After TOO_LONG the stream cannot be used any more.
        """
        rest = data
        while rest:
            if self._begun is None:
                outside, found, rest = rest.partition(bytes([_START]))
                if outside.strip(_BETWEEN):
                    yield Rejected(FramingFault.OUTSIDE)
                if not found:
                    return
                self._begun = bytearray()
            rest = yield from self._within(self._begun, rest)

    def _within(self, begun: bytearray, rest: bytes) -> Generator[bytes | Rejected, None, bytes]:
        """Read up to the end of the message; yield it, and return what follows."""
        places = [at for mark in (_START, _END) if (at := rest.find(mark)) >= 0]
        at = min(places, default=len(rest))
        begun += rest[:at]
        if len(begun) > self._limit:
            yield Rejected(FramingFault.TOO_LONG, bytes(begun[:_HEAD]))
            return b""
        if at == len(rest):
            return b""
        self._begun = None
        if rest[at] == _START:
            yield Rejected(FramingFault.NO_END)
            return rest[at:]
        after = rest[at + 1 : at + 2]
        if after and after[0] not in _AFTER_END:
            yield Rejected(FramingFault.BROKEN_END)
            return rest[at + 1 :]
        yield bytes(begun)
        return rest[at + 1 :]
