"""A TCP forwarder before a PACS that passes nothing, or one byte a second."""

import contextlib
import socket
import threading
import time
from typing import Final, Literal

Manner = Literal["forwards", "silent", "slow answers", "slow requests"]
_BYTE_SECONDS: Final = 1.0
# Small, so that the service's own writes block while a byte a second is taken.
_BUFFER: Final = 4096


class Forwarder:
    """Listens on a loopback port; `manner` may change at any time.

    Attributes:
        manner: `forwards` passes everything on; `silent` accepts connections and passes nothing, and a
            connection that lost bytes this way stays silent; `slow answers` and `slow requests` pass
            one byte a second in one direction.
        harmed: How many times bytes were not passed on, or one by one.
        port: Where it listens.
    """

    def __init__(self, target: int) -> None:
        """Take the port behind it."""
        self.manner: Manner = "forwards"
        self.harmed = 0
        self._target = ("127.0.0.1", target)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="forwarder", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._target)
                link = _Link(self, client, server)
                for requests in (True, False):
                    threading.Thread(target=link.run, args=(requests,), daemon=True).start()


class _Link:
    """One connection and the one behind it."""

    def __init__(self, owner: Forwarder, client: socket.socket, server: socket.socket) -> None:
        self._owner = owner
        self._client = client
        self._server = server
        self._has_lost_bytes = False

    def run(self, requests: bool) -> None:
        """Forward one direction until either end closes."""
        source, sink = self._client, self._server
        if not requests:
            source, sink = sink, source
        slow: Manner = "slow requests" if requests else "slow answers"
        with contextlib.suppress(OSError):
            while received := source.recv(1 if self._owner.manner == slow else 2**16):
                self._pass_on(sink, received, slow)
        self._close()

    def _pass_on(self, sink: socket.socket, received: bytes, slow: Manner) -> None:
        rest = memoryview(received)
        while rest:
            manner = self._owner.manner
            if self._has_lost_bytes or manner == "silent":
                self._has_lost_bytes = True
                self._owner.harmed += 1
                return
            size = len(rest)
            if manner == slow:
                size = 1
                self._owner.harmed += 1
                time.sleep(_BYTE_SECONDS)
            sink.sendall(rest[:size])
            rest = rest[size:]

    def _close(self) -> None:
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
