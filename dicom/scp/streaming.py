"""What the storage SCP needs from inside pynetdicom on the plain path.

pynetdicom's own server reads 4,096 bytes at a time, accepts any PDU length and assembles data sets in
memory. Here each accepted association gets a socket that reads whole PDUs up to a maximum length, and a
DIMSE provider that writes data set fragments to the spool as they arrive.
`dicom/scp/fast_path/fast_association.py` does the same with less processor time.
"""

import logging
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA

from dicom.identifiers import uid_value
from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.pynetdicom_private import (
    C_STORE_RQ,
    AdaptedRequestHandler,
    AdaptedSocket,
    DIMSEMessage,
    DIMSEServiceProvider,
    InvalidEventError,
    ProviderEvent,
    log_no_content,
)
from dicom.scp.hooks import Hooks
from dicom.scp.pdu_codec import A_ABORT
from dicom.scp.refusals import Cause
from dicom.scp.server_tls import secured
from dicom.scp.upper_layer import ReportingDUL
from dicom.scu.commitment import MAXIMUM_REQUEST
from dicom.spool.incoming_file import Announced, Incoming

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOGGER: Final = logging.getLogger(__name__)

log_no_content()

MAXIMUM_PDU: Final = 256 * 2**10
# Far above the longest command of the services that we offer.
MAXIMUM_COMMAND: Final = 64 * 2**10
_PRIORITIES: Final = range(3)


class PlainSocket(AdaptedSocket):
    """pynetdicom's socket with reads of any size, up to the maximum PDU length."""

    @property
    def ready(self) -> bool:
        """Whether a read would not block; unlike select(), for any number of open files."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Return whether bytes, or the end of the connection, arrive within `seconds`."""
        if self.socket is None or not self.is_connected:
            return False
        # Bytes that OpenSSL has decrypted already are invisible to poll().
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return `nr_bytes` bytes, or fewer if the peer closed the connection.

        Raises:
            OSError: The PDU exceeds the negotiated maximum length, or the read timed out.
        """
        if nr_bytes > MAXIMUM_PDU:
            raise OSError("the peer announced a PDU longer than the negotiated maximum")
        received = bytearray(nr_bytes)
        view = memoryview(received)
        while view:
            count = self._receive_into(view)
            if not count:
                return received[: nr_bytes - len(view)]
            view = view[count:]
        return received

    def shut_down(self) -> None:
        """Close the socket even if the peer has disconnected; pynetdicom then leaves it open."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _receive_into(self, view: memoryview) -> int:
        if self.socket is None:
            return 0
        return self.socket.recv_into(view)


class IncomingConnection(AdaptedRequestHandler):
    """Turns an accepted connection into an association that streams to the spool."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - socketserver's own
        hooks: Hooks,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._hooks = hooks
        self._tls = tls
        super().__init__(*args)

    def setup(self) -> None:
        """Set the socket options; on the TLS port, perform the handshake.

        Raises:
            HandshakeFailed: The handshake failed or timed out.
        """
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            self.request.settimeout(self._hooks.request_seconds)
            self.request = secured(self.request, self._tls())
        # Without a timeout a sender that stops in the middle of a PDU would block its thread forever.
        self.request.settimeout(self._hooks.idle_seconds)

    def handle(self) -> None:
        """Start the association in its own threads."""
        self.make_association().start()

    def make_association(self) -> Association:
        """Return an association with our socket and providers; it is not started."""
        association = super().make_association()
        association.dimse = StreamingDIMSE(association, self._hooks)
        association.dul = ReportingDUL(association, self._hooks)
        # Assigned again because these setters configure the timers of the new upper layer.
        association.acse_timeout = self.ae.acse_timeout
        association.network_timeout = self.ae.network_timeout
        association.dul.socket = PlainSocket(association, client_socket=self.request)
        # pynetdicom creates these objects itself; only their methods can be replaced.
        run = partial(run_to_the_end, association.run, association, self._hooks)
        association.run = run  # type: ignore[method-assign]
        upper_layer = partial(_run_upper_layer, association.dul.run, association, self._hooks)
        association.dul.run = upper_layer  # type: ignore[method-assign]
        # Acknowledged objects are durable, so process exit need not wait for unresponsive peers.
        association.daemon = association.dul.daemon = True
        return association


class StreamingDIMSE(DIMSEServiceProvider):
    """Writes the fragments of a C-STORE data set to the spool instead of collecting them."""

    def __init__(self, association: Association, hooks: Hooks) -> None:
        super().__init__(association)
        self._hooks = hooks

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Process the fragments of one P-DATA-TF one by one.

        One PDU may hold the end of a command and the start of its data set.
        """
        for context_id, fragment in primitive.presentation_data_value_list:
            if self._is_out_of_turn(context_id, fragment):
                self._refuse("fragments of two messages are mixed")
                return
            single = P_DATA()
            # pynetdicom declares tuples and requires lists.
            single.presentation_data_value_list = [[context_id, fragment]]  # type: ignore[list-item]
            try:
                super().receive_primitive(single)
            except PYDICOM_ERRORS:
                self._refuse("a command that cannot be decoded")
                return
            if self.message is not None:
                self._direct(self.message)

    def _is_out_of_turn(self, context_id: int, fragment: bytes) -> bool:
        """Return whether a fragment does not continue the current message (PS3.8 E.2)."""
        message = self.message
        # pynetdicom changes the class of a message once its command is complete.
        awaits_data = message is not None and type(message) is not DIMSEMessage
        is_data = bool(fragment) and not fragment[0] & 1
        return awaits_data != is_data or (
            message is not None and awaits_data and context_id != message.context_id
        )

    def _direct(self, message: DIMSEMessage) -> None:
        if isinstance(message, C_STORE_RQ):
            # Only low, medium and high are defined (PS3.7 9.3.1.1); the service treats all alike.
            if message.command_set.get("Priority", 0) not in _PRIORITIES:
                message.command_set.Priority = 0
            if not isinstance(message.data_set, DatasetStream):
                message.data_set = DatasetStream(self._incoming(message))
            return
        too_long = message.encoded_command_set.tell() > MAXIMUM_COMMAND
        if too_long or (message.data_set and message.data_set.tell() > MAXIMUM_REQUEST):
            self._refuse("a command longer than the limit of this service")

    def _refuse(self, what: str) -> None:
        self._hooks.report_abort(self.assoc, Cause.INVALID_COMMAND, what)
        self.message = None
        self.dul.event_queue.put(ProviderEvent.INVALID_PDU)

    def _incoming(self, message: DIMSEMessage) -> Incoming:
        syntaxes = [
            context.transfer_syntax[0]
            for context in self.assoc.accepted_contexts
            if context.context_id == message.context_id
        ]
        return self._hooks.open_incoming(
            self.assoc,
            Announced(
                sop_class_uid=uid_value(message.command_set.get("AffectedSOPClassUID", "")),
                sop_instance_uid=uid_value(message.command_set.get("AffectedSOPInstanceUID", "")),
                transfer_syntax_uid=str(syntaxes[0]) if syntaxes else "",
                source_ae=self.assoc.requestor.ae_title,
            ),
        )


class DatasetStream(BytesIO):
    """Replaces the buffer in which pynetdicom collects a data set; stays empty."""

    def __init__(self, incoming: Incoming) -> None:
        super().__init__()
        self.incoming = incoming

    def write(self, fragment: "ReadableBuffer", /) -> int:
        """Append a fragment to the spool file; return its length in bytes."""
        view = memoryview(fragment)
        self.incoming.write(view)
        return view.nbytes


def _run_upper_layer(run: Callable[[], None], association: Association, hooks: Hooks) -> None:
    """Run pynetdicom's upper layer; abort the association on an error that it does not handle."""
    try:
        run()
    except (InvalidEventError, *PYDICOM_ERRORS) as error:
        abort_for(error, association, hooks)


def run_to_the_end(run: Callable[[], None], association: Association, hooks: Hooks) -> None:
    """Run an association; call `hooks.association_ended` when it is over, also after an error."""
    try:
        run()
    except PYDICOM_ERRORS as error:
        abort_for(error, association, hooks)
        if association.dul.socket is not None:
            association.dul.socket.close()
    finally:
        hooks.association_ended(association)


def abort_for(error: Exception, association: Association, hooks: Hooks) -> None:
    """Send an A-ABORT because pynetdicom could not decode what the peer sent, and report it."""
    # Only the error's type: its message may quote values that the peer sent.
    reason = f"undecodable data ({type(error).__name__})"
    hooks.report_abort(association, Cause.INVALID_PDU, reason)
    if association.dul.socket is not None:
        with suppress(OSError):
            association.dul.socket.send(A_ABORT)
