"""One connection of the MLLP listener: messages are read, taken and answered in their order."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

from service.hl7.acknowledgment import Answer, acknowledgment
from service.hl7.framing import Decoder, FramingFault, Rejected
from service.hl7.taking import MessageTaker
from service.log import get_logger

_PIECE: Final = 2**16
_POLL_SECONDS: Final = 0.5
_MOST_REJECTED: Final = 100  # of one connection, which is then closed
# So long the rest of a message that is too long is read, so that the answer is not lost by a reset.
_DRAIN_SECONDS: Final = 2.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a connection.

    Attributes:
        message_bytes: Largest size of a message.
        message_seconds: Longest time from its first to its last byte, and to send its answer.
        idle_seconds: Longest time without a message.
    """

    message_bytes: int
    message_seconds: float
    idle_seconds: float


class _Ended(Exception):
    """The connection is to be closed; the reason is in the log."""


class Connection:
    """Serves one connection until it ends."""

    def __init__(
        self,
        peer: socket.socket,
        address: str,
        taker: MessageTaker,
        *,
        limits: Limits,
        stop: threading.Event,
    ) -> None:
        """Take the connected socket, the peer's IP address, and what its messages are given to."""
        self._socket, self._address, self._taker = peer, address, taker
        self._limits, self._stop = limits, stop
        self._decoder = Decoder(limits.message_bytes)
        self._since = time.monotonic()
        self._rejected: list[FramingFault] = []

    def serve(self) -> None:
        """Answer messages until the peer closes, a limit is exceeded, or the process stops.

        Raises:
            OSError: The connection is lost.
        """
        with contextlib.suppress(_Ended):
            while data := self._received():
                self._answer_all(data)
        if self._decoder.is_within_message:
            log.warning("hl7_message_incomplete", address=self._address)

    def _received(self) -> bytes:
        """Return the next bytes; nothing at the end.

        Raises:
            _Ended: A time limit is exceeded, or the process stops.
        """
        while not self._stop.is_set():
            within = self._decoder.is_within_message
            limit = self._limits.message_seconds if within else self._limits.idle_seconds
            left = self._since + limit - time.monotonic()
            if left <= 0:
                if within:
                    log.warning("hl7_message_too_slow", address=self._address, seconds=limit)
                else:
                    log.info("hl7_connection_idle", address=self._address, seconds=limit)
                raise _Ended
            self._socket.settimeout(min(left, _POLL_SECONDS))
            with contextlib.suppress(TimeoutError):
                return self._socket.recv(_PIECE)
        raise _Ended

    def _answer_all(self, data: bytes) -> None:
        was_within = self._decoder.is_within_message
        for found in self._decoder.feed(data):
            if isinstance(found, Rejected):
                self._reject(found)
            else:
                self._send(found, self._taker.take(found))
            was_within = False
        if not was_within:
            self._since = time.monotonic()

    def _reject(self, found: Rejected) -> None:
        if found.fault not in self._rejected:
            log.warning("hl7_framing_fault", address=self._address, reason=found.fault.value)
        self._rejected.append(found.fault)
        if found.fault is FramingFault.TOO_LONG:
            reason = f"the message is longer than {self._limits.message_bytes} bytes"
            self._send(found.head, self._taker.reject(reason))
            self._drain()
            raise _Ended
        if len(self._rejected) >= _MOST_REJECTED:
            raise _Ended

    def _send(self, content: bytes, answer: Answer) -> None:
        now = datetime.now().astimezone()
        body = acknowledgment(content, answer, now, uuid4().hex[:20])
        self._socket.settimeout(self._limits.message_seconds)
        self._socket.sendall(b"\x0b" + body + b"\x1c\r")

    def _drain(self) -> None:
        self._decoder = Decoder(self._limits.message_bytes)
        until = time.monotonic() + _DRAIN_SECONDS
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(_PIECE):
                    return
