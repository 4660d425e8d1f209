"""A total time limit for one exchange with a peer, also where the peer sends a byte now and then.

A socket timeout limits each read and write. A peer that sends or takes single bytes resets it each time
and holds the thread for hours. At the end of a Deadline the connection is shut down, which ends the read
or write that blocks, in whatever library.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

# Bytes a second that a peer must move at least, beyond its timeout: 1 Mbit/s.
SLOWEST: Final = 128 * 2**10

# An exchange that takes longer than this many seconds waits for its peer.
_QUICK: Final = 0.5

_current = threading.local()


def allowance(timeout: float, size: int) -> float:
    """Return the seconds within which an exchange of `size` bytes must be complete."""
    return timeout + size / SLOWEST


class Deadline:
    """Shuts down the connections of one exchange when its time is over; a context manager.

    Within the block it is the deadline of this thread, see `follow_connection`.
    """

    def __init__(self, seconds: float, on_wait: Callable[[], None] | None = None) -> None:
        """Take the time limit, and what is called once when the exchange turns out to be slow."""
        self._seconds = seconds
        self._on_wait = on_wait
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._expired = False
        self._outer: Deadline | None = None

    @property
    def expired(self) -> bool:
        """Whether the time is over."""
        return self._expired

    def follow(self, connection: socket.socket) -> None:
        """Shut this connection down at the deadline; at once when that has passed."""
        with self._lock:
            known = any(each is connection for each in self._connections)
            if not known:
                self._connections.append(connection)
            if self._expired:
                _shut(connection)

    def _run(self) -> None:
        quick = min(_QUICK, self._seconds)
        if self._over.wait(quick):
            return
        if self._on_wait is not None:
            self._on_wait()
        if not self._over.wait(self._seconds - quick):
            self._expire()

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            for connection in self._connections:
                _shut(connection)

    def __enter__(self) -> Self:
        """Start the time.

        Raises:
            RuntimeError: The machine starts no thread now.
        """
        threading.Thread(target=self._run, name="deadline", daemon=True).start()
        self._outer = getattr(_current, "deadline", None)
        _current.deadline = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the time; nothing is shut down from here on."""
        self._over.set()
        _current.deadline = self._outer


def follow_connection(connection: socket.socket | None) -> None:
    """Let the deadline of this thread, if it has one, limit what is done on `connection`."""
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline is not None and connection is not None:
        deadline.follow(connection)


def _shut(connection: socket.socket) -> None:
    # The plain method, also of a TLS socket: that of SSLSocket changes it under the thread that reads.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
