"""The door: connections wait here, without a thread, until they say their first byte.

pynetdicom's server gives each connection two threads before it has said anything and keeps five in the
queue. Here a thread begins when bytes have come; a connection that stays silent is closed after a while,
and when too many are silent the one that has been so for longest goes first.
"""

import contextlib
import errno
import logging
import selectors
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from pynetdicom import AE

from dicom.network.keepalive import keep_alive
from dicom.pynetdicom_private import ThreadedAssociationServer
from dicom.scp.refusals import Cause, NotAccepted, Report
from dicom.scp.server_tls import HandshakeFailed
from dicom.scp.thread_pool import ThreadPool

LOGGER: Final = logging.getLogger(__name__)

# accept() failed because of us or the machine, not of the peer; it will be tried again.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ACCEPTED_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """How connections are taken.

    Attributes:
        address: Host and port; port 0 takes a free one.
        shared: Other processes may listen on the same port (SO_REUSEPORT).
        silent_seconds: How long a connection may stay without saying anything.
        max_silent: So many may do so at once.
        max_open: Connections that have said something, at once; one more is closed.
    """

    address: tuple[str, int]
    shared: bool
    silent_seconds: float
    max_silent: int
    max_open: int


class Listener(ThreadedAssociationServer):
    """Accepts connections; hands each to a request handler, in a thread, once bytes have come."""

    request_queue_size = 1024
    daemon_threads = True
    # Threads that are over are nobody's business; socketserver would keep a list of them.
    block_on_close = False

    def __init__(
        self,
        entity: AE,
        door: ListenerSettings,
        report: Report,
        **arguments: Any,  # noqa: ANN401 - pynetdicom's own
    ) -> None:
        """Bind the address; `report` is called for each connection that is closed.

        Raises:
            OSError: It cannot be bound.
        """
        self._door = door
        self._report = report
        self._waiting: dict[socket.socket, tuple[Any, float]] = {}
        self._open = 0
        self._turn = threading.Lock()
        self._crew = ThreadPool(self.process_request_thread, "association")
        self._stopping = False
        self._stopped = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._wake, self._wakened = socket.socketpair()
        super().__init__(
            entity, door.address, entity.ae_title, entity.supported_contexts, **arguments
        )

    def server_bind(self) -> None:
        """Bind, if so set together with other processes."""
        listening = self._listening()
        keep_alive(listening)
        if self._door.shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
        listening.setblocking(False)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept until `shutdown`; `poll_interval` is how late a silent connection may be closed."""
        try:
            self._watch(self._listening(), poll_interval)
        finally:
            try:
                self._end()
            finally:
                self._stopped.set()

    @property
    def has_ended(self) -> bool:
        """True once nobody listens any more: after `shutdown`, or after a fault of ours."""
        return self._stopped.is_set()

    def shutdown(self) -> None:
        """Stop listening and close who has said nothing yet; associations go on."""
        self._stopping = True
        with contextlib.suppress(OSError):  # it has ended by itself
            self._wake.send(b"\0")
        self._stopped.wait(10)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Close a connection whatever state it is in."""
        request.close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Serve one connection; returns when its association is over, or goes on in its own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._turn:
                self._open -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Log what failed, without values; socketserver would print it with all that it quotes."""
        del request
        error = sys.exc_info()[1]
        if isinstance(error, HandshakeFailed):
            self._closed(client_address, error.cause, str(error))
        else:
            self._closed(client_address, Cause.INTERNAL_ERROR, type(error).__name__)

    def _closed(self, address: Any, cause: Cause, words: str) -> None:  # noqa: ANN401 - socketserver's own
        """Log and report a connection that ends before an association is requested on it."""
        LOGGER.warning("a connection from %s was closed: %s", address[0], words)
        self._report(NotAccepted(cause=cause, calling_ae="", address=str(address[0])))

    def _listening(self) -> socket.socket:
        if self.socket is None:
            raise OSError("the listener is closed")
        return self.socket

    def _watch(self, listening: socket.socket, poll_interval: float) -> None:
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._wakened, selectors.EVENT_READ)
        while not self._stopping:
            for key, _ in self._selector.select(poll_interval if self._waiting else None):
                if key.fileobj is listening:
                    self._accept(listening)
                elif key.fileobj is not self._wakened and isinstance(key.fileobj, socket.socket):
                    self._begin(key.fileobj)
            self._close_silent()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._close_oldest():
                    time.sleep(0.05)
                return
            try:
                self._selector.register(connection, selectors.EVENT_READ)
            except OSError as error:  # fs.epoll.max_user_watches, or no memory
                LOGGER.warning("a connection from %s was closed: %s", address[0], error.strerror)
                connection.close()
                self._close_oldest()
                return
            self._waiting[connection] = (address, time.monotonic() + self._door.silent_seconds)
            if len(self._waiting) > self._door.max_silent:
                self._close_oldest()

    def _begin(self, connection: socket.socket) -> None:
        waiting = self._waiting.pop(connection, None)
        if waiting is None:
            return  # it was the oldest one, and was closed since select() saw its byte
        address, _ = waiting
        self._selector.unregister(connection)
        if _has_ended(connection):
            connection.close()  # a port check: nothing was requested and nothing is reported
            return
        with self._turn:
            full = self._open >= self._door.max_open
            self._open += not full
        if full:
            self._closed(address, Cause.CONNECTION_LIMIT, "too many at once")
            connection.close()
            return
        try:
            self._crew.give(connection, address)
        except RuntimeError:
            self._closed(address, Cause.CONNECTION_LIMIT, "no thread is left")
            connection.close()
            with self._turn:
                self._open -= 1

    def _close_silent(self) -> None:
        now = time.monotonic()
        # In order of arrival, and all with the same patience: the first ones end first.
        while self._waiting and next(iter(self._waiting.values()))[1] <= now:
            self._close_oldest()

    def _close_oldest(self) -> bool:
        if not self._waiting:
            return False
        oldest = next(iter(self._waiting))
        address, _ = self._waiting.pop(oldest)
        self._selector.unregister(oldest)
        oldest.close()
        if not self._stopping:
            self._closed(address, Cause.SILENT, "it sent nothing")
        return True

    def _end(self) -> None:
        # The port first: nobody else is to knock where nobody opens.
        self.server_close()
        while self._close_oldest():
            pass
        self._selector.close()
        self._wake.close()
        self._wakened.close()


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the peer closed a readable connection without a byte."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
