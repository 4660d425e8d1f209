"""A socket that reads as much as there is into one buffer; everybody reads from that buffer first."""

import mmap
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Any, Final

from dicom.scp.pdu_codec import ConnectionBroken
from dicom.scp.streaming import PlainSocket

# More than a small film, so that it is written at once.
BUFFER: Final = 640 * 2**10
# A piece of at least this size is waited for by the kernel, not by us in many small reads.
_LARGE: Final = 32 * 2**10
_GOODBYE_SECONDS: Final = 1.0


class BufferedSocket(PlainSocket):
    """Reads as much as there is into one buffer; everybody else reads from that buffer first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pynetdicom's own
        super().__init__(*args, **kwargs)
        # Pages of its own: they go back to the system at the end, which those of malloc need not.
        self.view = memoryview(mmap.mmap(-1, BUFFER))
        self.low = self.high = 0
        self._begun = b""
        # In one call the kernel may collect a whole PDU; a TLS record is all that OpenSSL gives.
        self._flags = 0 if isinstance(self.socket, ssl.SSLSocket) else socket.MSG_WAITALL

    def wait(self, seconds: float) -> bool:
        """Return whether bytes, or the end of the connection, come within `seconds`."""
        return bool(self._begun) or self.high > self.low or super().wait(seconds)

    @property
    def has_begun(self) -> bool:
        """Whether the next bytes are in the middle of a PDU that was begun elsewhere."""
        return bool(self._begun)

    def set_patience(self, seconds: float) -> None:
        """Let one read or write last so long; then it raises OSError."""
        if self.socket is None:
            return
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(seconds)
            return
        # The kernel's own time limit: with Python's the socket would not be a blocking one, and
        # MSG_WAITALL would have no effect.
        self.socket.settimeout(None)
        limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def stop_reading(self) -> None:
        """Wake whoever waits for the peer; from now on the connection seems ended to its reader."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RD)  # not the one of TLS

    def say_goodbye(self) -> None:
        """Close so that the peer still receives what was sent: unread bytes would reset it."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_WR)
                end = time.monotonic() + _GOODBYE_SECONDS
                self.low = self.high = 0
                while time.monotonic() < end and super().wait(end - time.monotonic()):
                    if not connection.recv_into(self.view):
                        break
        self.close()

    def close(self) -> None:
        """Close it; an association that is over keeps no buffer until it is collected."""
        super().close()
        self.low = self.high = 0
        self.view = memoryview(b"")

    def put_back(self, header: bytes) -> None:
        """Let the next reader begin with `header`."""
        self._begun = header

    def need(self, count: int) -> None:
        """Have at least `count` bytes in the buffer.

        Raises:
            OSError: The connection ended before, or was silent for too long.
        """
        have = self.high - self.low
        if have >= count:
            return
        if BUFFER - self.low < count or not have:
            self.begin_again()
        while self.high - self.low < count:
            self.fill()

    @property
    def room(self) -> int:
        """How many bytes can be read behind those that are here."""
        return len(self.view) - self.high

    def begin_again(self) -> None:
        """Have what nobody has taken yet at the buffer's beginning; views of the rest become void."""
        have = self.high - self.low
        self.view[:have] = self.view[self.low : self.high]
        self.low, self.high = 0, have

    def fill(self, certain: int = 0) -> None:
        """Read into the buffer's free end; `certain` is how many bytes are known to come.

        Raises:
            OSError: The connection ended, or was silent for too long.
        """
        if self.socket is None:
            raise ConnectionBroken("the connection is closed")
        room = self.view[self.high :]
        if certain >= _LARGE and self._flags:
            count = self.socket.recv_into(room, min(certain, len(room)), self._flags)
        else:
            count = self.socket.recv_into(room)
        if not count:
            raise ConnectionBroken("the connection ended within a PDU")
        self.high += count

    def _receive_into(self, view: memoryview) -> int:
        source = memoryview(self._begun) if self._begun else self.view[self.low : self.high]
        if not source:
            return super()._receive_into(view)
        count = min(len(source), len(view))
        view[:count] = source[:count]
        if self._begun:
            self._begun = self._begun[count:]
        else:
            self.low += count
        return count
