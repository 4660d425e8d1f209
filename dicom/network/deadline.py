"""A time limit for a whole exchange with a peer, even if the peer keeps sending single bytes.

A socket timeout limits each read and write. A peer that sends or accepts single bytes resets it each
time and can block the thread for hours. When a Deadline expires, the connection is shut down, which ends
a blocking read or write in any library.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

# Minimum transfer rate of a peer in bytes per second (1 Mbit/s); see `allowance`.
SLOWEST: Final = 128 * 2**10

# After this many seconds an exchange counts as slow, and `on_wait` is called.
_QUICK: Final = 0.5

_current = threading.local()


def allowance(timeout: float, size: int) -> float:
    """Return the seconds within which an exchange of `size` bytes must be complete."""
    return timeout + size / SLOWEST


class Deadline:
    """Context manager that shuts down the connections of one exchange when its time limit expires.

    Within the block it is this thread's current deadline, see `follow_connection`.
    """

    def __init__(self, seconds: float, on_wait: Callable[[], None] | None = None) -> None:
        """Store the limit in seconds, and `on_wait`, called once if the exchange takes over 0.5 s."""
        self._seconds = seconds
        self._on_wait = on_wait
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._expired = False
        self._outer: Deadline | None = None

    @property
    def expired(self) -> bool:
        """Whether the limit expired within the block."""
        return self._expired

    def follow(self, connection: socket.socket) -> None:
        """Shut this connection down when the deadline expires; at once if it has expired."""
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
        """Start the timer thread.

        Raises:
            RuntimeError: No thread can be started.
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
        """Stop the timer and restore the outer deadline."""
        self._over.set()
        _current.deadline = self._outer


def follow_connection(connection: socket.socket | None) -> None:
    """Apply this thread's current deadline, if any, to `connection`."""
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline is not None and connection is not None:
        deadline.follow(connection)


def _shut(connection: socket.socket) -> None:
    # Not SSLSocket.shutdown: it would change the socket under the thread that reads.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
