"""A socket with one receive buffer, shared by the fast path and pynetdicom's own reads."""

import mmap
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any, Final

from dicom.scp.pdu_codec import ConnectionBroken
from dicom.scp.streaming import PlainSocket

# Larger than a small image, so that its data set is written in one call.
BUFFER: Final = 640 * 2**10
# From this size on the kernel waits for all bytes (MSG_WAITALL), instead of many small reads.
_LARGE: Final = 32 * 2**10
_DRAIN_SECONDS: Final = 1.0


class BufferedSocket(PlainSocket):
    """Reads all available bytes into one buffer, from which every other read is served first.

    Attributes:
        view: The buffer; empty once the socket is closed.
        low: Start of the unread bytes in `view`.
        high: End of the unread bytes in `view`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pynetdicom's own
        super().__init__(*args, **kwargs)
        # A separate mapping returns to the system when it is freed; malloc keeps a part of its memory.
        self.view = memoryview(mmap.mmap(-1, BUFFER))
        self.low = self.high = 0
        self._put_back = b""
        # The kernel can collect a whole PDU in one call; OpenSSL returns one TLS record at most.
        self._flags = 0 if isinstance(self.socket, ssl.SSLSocket) else socket.MSG_WAITALL

    def wait(self, seconds: float) -> bool:
        """Return whether bytes, or the end of the connection, arrive within `seconds`."""
        return bool(self._put_back) or self.high > self.low or super().wait(seconds)

    @property
    def has_put_back(self) -> bool:
        """Whether the header that `put_back` stored is still unread."""
        return bool(self._put_back)

    def set_timeout(self, seconds: float) -> None:
        """Set the timeout of each read and write; when it expires they raise OSError."""
        if self.socket is None:
            return
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(seconds)
            return
        # Use the kernel's timeout: Python's makes the socket non-blocking, and then MSG_WAITALL has no
        # effect.
        self.socket.settimeout(None)
        limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def stop_reading(self) -> None:
        """Unblock a waiting read; from now on reads return the end of the connection."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                # Not SSLSocket.shutdown: it would change the socket under the thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RD)

    def close_gracefully(self) -> None:
        """Close so that the peer still receives what was sent.

        A socket that is closed with unread bytes resets the connection: read for up to 1 s first.
        """
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_WR)
                end = time.monotonic() + _DRAIN_SECONDS
                self.low = self.high = 0
                while time.monotonic() < end and super().wait(end - time.monotonic()):
                    if not connection.recv_into(self.view):
                        break
        self.close()

    def close(self) -> None:
        """Close the socket and release the buffer before the association is garbage-collected."""
        super().close()
        self.low = self.high = 0
        self.view = memoryview(b"")

    def put_back(self, header: bytes) -> None:
        """Return `header` before all other bytes at the next read."""
        self._put_back = header

    def ensure(self, count: int) -> None:
        """Read until the buffer holds at least `count` unread bytes.

        Raises:
            OSError: The connection ended before that, or a read timed out.
        """
        have = self.high - self.low
        if have >= count:
            return
        if BUFFER - self.low < count or not have:
            self.compact()
        while self.high - self.low < count:
            self.fill()

    @property
    def room(self) -> int:
        """Free bytes at the end of the buffer."""
        return len(self.view) - self.high

    def compact(self) -> None:
        """Move the unread bytes to the buffer's start; earlier views of the buffer become invalid."""
        have = self.high - self.low
        self.view[:have] = self.view[self.low : self.high]
        self.low, self.high = 0, have

    def fill(self, expected: int = 0) -> None:
        """Read into the free end of the buffer.

        Args:
            expected: Number of bytes that will certainly arrive (the rest of a fragment); 0 if unknown.

        Raises:
            OSError: The connection ended, or the read timed out.
        """
        if self.socket is None:
            raise ConnectionBroken("the connection is closed")
        room = self.view[self.high :]
        if expected >= _LARGE and self._flags:
            count = self.socket.recv_into(room, min(expected, len(room)), self._flags)
        else:
            count = self.socket.recv_into(room)
        if not count:
            raise ConnectionBroken("the connection ended within a PDU")
        self.high += count

    def _receive_into(self, view: memoryview) -> int:
        source = memoryview(self._put_back) if self._put_back else self.view[self.low : self.high]
        if not source:
            return super()._receive_into(view)
        count = min(len(source), len(view))
        view[:count] = source[:count]
        if self._put_back:
            self._put_back = self._put_back[count:]
        else:
            self.low += count
        return count
