"""The TCP listener: a connection is held without a thread until its first byte arrives.

pynetdicom's server starts two threads for each connection before any byte has arrived and has a listen
backlog of 5. Here a thread is used only once bytes have arrived. A silent connection is closed after a
timeout; when too many connections are silent, the oldest is closed.
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

# accept() failed for lack of local resources, not because of the peer; it is tried again.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ACCEPTED_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """Address and limits of a listener.

    Attributes:
        address: Host and port; port 0 takes a free one.
        shared: Other processes may listen on the same port (SO_REUSEPORT).
        silent_seconds: How long a connection may send nothing before it is closed.
        max_silent: Number of such connections at once; beyond it the oldest is closed.
        max_open: Number of connections being served at once; one more is closed.
    """

    address: tuple[str, int]
    shared: bool
    silent_seconds: float
    max_silent: int
    max_open: int


class Listener(ThreadedAssociationServer):
    """Accepts connections; passes each to a request handler in a thread once bytes have arrived."""

    request_queue_size = 1024
    daemon_threads = True
    # Do not track finished threads: socketserver would keep a list of them.
    block_on_close = False

    def __init__(
        self,
        entity: AE,
        settings: ListenerSettings,
        report: Report,
        **arguments: Any,  # noqa: ANN401 - pynetdicom's own
    ) -> None:
        """Bind the address.

        Args:
            entity: The application entity of the associations.
            settings: Address and limits.
            report: Called for each connection that is closed by a timeout, a limit or an error.
            arguments: Of pynetdicom's ThreadedAssociationServer.

        Raises:
            OSError: The address cannot be bound.
        """
        self._settings = settings
        self._report = report
        self._waiting: dict[socket.socket, tuple[Any, float]] = {}
        self._open = 0
        self._lock = threading.Lock()
        self._pool = ThreadPool(self.process_request_thread, "association")
        self._stopping = False
        self._stopped = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._wake, self._wakened = socket.socketpair()
        super().__init__(
            entity, settings.address, entity.ae_title, entity.supported_contexts, **arguments
        )

    def server_bind(self) -> None:
        """Bind the listening socket, with SO_REUSEPORT if the port is shared."""
        listening = self._listening()
        # Accepted connections inherit keepalive from the listening socket.
        keep_alive(listening)
        if self._settings.shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
        listening.setblocking(False)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept until `shutdown`; a silent connection is closed up to `poll_interval` seconds late."""
        try:
            self._watch(self._listening(), poll_interval)
        finally:
            try:
                self._end()
            finally:
                self._stopped.set()

    @property
    def has_ended(self) -> bool:
        """Whether listening has ended, by `shutdown` or by an internal error."""
        return self._stopped.is_set()

    def shutdown(self) -> None:
        """Stop listening and close connections without a byte; associations continue."""
        self._stopping = True
        with contextlib.suppress(OSError):  # the listener has ended already
            self._wake.send(b"\0")
        self._stopped.wait(10)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Close a connection in any state."""
        request.close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Serve one connection.

        Return when its association is over (fast path) or has started its own threads (plain path).
        """
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        """Log and report the error without values; socketserver would print its full traceback."""
        del request
        error = sys.exc_info()[1]
        if isinstance(error, HandshakeFailed):
            self._closed(client_address, error.cause, str(error))
        else:
            self._closed(client_address, Cause.INTERNAL_ERROR, type(error).__name__)

    def _closed(self, address: Any, cause: Cause, reason: str) -> None:  # noqa: ANN401 - socketserver's own
        """Log and report a connection that is closed before an association is requested."""
        LOGGER.warning("a connection from %s was closed: %s", address[0], reason)
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
                # Free a descriptor or pause: the listening socket stays readable, the loop would spin.
                if error.errno in _EXHAUSTED and not self._close_oldest():
                    time.sleep(0.05)
                return
            try:
                self._selector.register(connection, selectors.EVENT_READ)
            except OSError as error:  # fs.epoll.max_user_watches, or no memory
                self._closed(address, Cause.CONNECTION_LIMIT, error.strerror or "no memory is left")
                connection.close()
                self._close_oldest()
                return
            self._waiting[connection] = (address, time.monotonic() + self._settings.silent_seconds)
            if len(self._waiting) > self._settings.max_silent:
                self._close_oldest()

    def _begin(self, connection: socket.socket) -> None:
        waiting = self._waiting.pop(connection, None)
        if waiting is None:
            return  # closed as the oldest one after select() had reported it
        address, _ = waiting
        self._selector.unregister(connection)
        if _has_ended(connection):
            connection.close()  # a port check: nothing was requested, so nothing is reported
            return
        with self._lock:
            full = self._open >= self._settings.max_open
            self._open += not full
        if full:
            self._closed(address, Cause.CONNECTION_LIMIT, "too many at once")
            connection.close()
            return
        try:
            self._pool.submit(connection, address)
        except RuntimeError:
            self._closed(address, Cause.CONNECTION_LIMIT, "no thread is left")
            connection.close()
            with self._lock:
                self._open -= 1

    def _close_silent(self) -> None:
        now = time.monotonic()
        # Ordered by arrival and all with the same timeout, so the first ones expire first.
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
        # Close the port first so that no client connects to a listener that has ended.
        self.server_close()
        while self._close_oldest():
            pass
        self._selector.close()
        self._wake.close()
        self._wakened.close()


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the peer closed a readable connection without sending a byte."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
