"""What the storage SCP needs from inside pynetdicom on the plain path.

pynetdicom's own server reads 4,096 bytes at a time, believes any PDU length and assembles data sets in
memory. Here each accepted association gets a socket that reads whole PDUs up to a bound and a DIMSE
provider that passes data set fragments on as they come. `dicom/scp/fast_path/fast_association.py`
does the same with less work.
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
# No command of the services that we offer comes near this.
MAXIMUM_COMMAND: Final = 64 * 2**10
_PRIORITIES: Final = range(3)


class PlainSocket(AdaptedSocket):
    """pynetdicom's socket, reading as much at once as there is of a PDU, and no PDU beyond a bound."""

    @property
    def ready(self) -> bool:
        """Whether reading would not wait; unlike select(), for any number of open files."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Return whether bytes, or the end of the connection, come within `seconds`."""
        if self.socket is None or not self.is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))

    def recv(self, nr_bytes: int) -> bytearray:
        """Return so many bytes, or fewer when the peer closed the connection.

        Raises:
            OSError: A PDU longer than we agreed to take, or the peer was silent for too long.
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
        """Close it even when the peer is gone already, which pynetdicom forgets."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def _receive_into(self, view: memoryview) -> int:
        if self.socket is None:
            return 0
        return self.socket.recv_into(view)


class IncomingConnection(AdaptedRequestHandler):
    """Makes an accepted connection an association that streams to the spool."""

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
        """Set up the connection; on the TLS port, secure it.

        Raises:
            HandshakeFailed: The peer cannot or will not, or not in time.
        """
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            self.request.settimeout(self._hooks.request_seconds)
            self.request = secured(self.request, self._tls())
        # A sender that stops in the middle of a PDU would otherwise hold its thread for ever.
        self.request.settimeout(self._hooks.idle_seconds)

    def handle(self) -> None:
        """Begin the association, in threads of its own."""
        self.make_association().start()

    def make_association(self) -> Association:
        """Return an association whose sockets and providers are ours; it does not run yet."""
        association = super().make_association()
        association.dimse = StreamingDIMSE(association, self._hooks)
        association.dul = ReportingDUL(association, self._hooks)
        # They set the timers of the upper layer that has just been exchanged.
        association.acse_timeout = self.ae.acse_timeout
        association.network_timeout = self.ae.network_timeout
        association.dul.socket = PlainSocket(association, client_socket=self.request)
        # pynetdicom makes the objects itself; only their methods can be exchanged.
        run = partial(run_to_the_end, association.run, association, self._hooks)
        association.run = run  # type: ignore[method-assign]
        upper_layer = partial(_run_upper_layer, association.dul.run, association, self._hooks)
        association.dul.run = upper_layer  # type: ignore[method-assign]
        # What is durable was acknowledged; a process that stops need not wait for dead peers.
        association.daemon = association.dul.daemon = True
        return association


class StreamingDIMSE(DIMSEServiceProvider):
    """Passes the fragments of a C-STORE data set to the spool instead of collecting them."""

    def __init__(self, association: Association, hooks: Hooks) -> None:
        super().__init__(association)
        self._hooks = hooks

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of one P-DATA-TF one by one: a command may end where its data begin."""
        for context_id, fragment in primitive.presentation_data_value_list:
            if self._is_out_of_turn(context_id, fragment):
                self._refuse("fragments of another message between those of one")
                return
            single = P_DATA()
            # pynetdicom declares tuples and wants lists.
            single.presentation_data_value_list = [[context_id, fragment]]  # type: ignore[list-item]
            try:
                super().receive_primitive(single)
            except PYDICOM_ERRORS:
                self._refuse("a command that cannot be decoded")
                return
            if self.message is not None:
                self._direct(self.message)

    def _is_out_of_turn(self, context_id: int, fragment: bytes) -> bool:
        """Return whether it belongs to no message, or to another than the one begun (PS3.8 E.2)."""
        message = self.message
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
            self._refuse("a message longer than any that this service knows")

    def _refuse(self, what: str) -> None:
        self._hooks.aborted(self.assoc, Cause.INVALID_COMMAND, what)
        self.message = None
        self.dul.event_queue.put(ProviderEvent.INVALID_PDU)

    def _incoming(self, message: DIMSEMessage) -> Incoming:
        syntaxes = [
            context.transfer_syntax[0]
            for context in self.assoc.accepted_contexts
            if context.context_id == message.context_id
        ]
        return self._hooks.announced(
            self.assoc,
            Announced(
                sop_class_uid=uid_value(message.command_set.get("AffectedSOPClassUID", "")),
                sop_instance_uid=uid_value(message.command_set.get("AffectedSOPInstanceUID", "")),
                transfer_syntax_uid=str(syntaxes[0]) if syntaxes else "",
                source_ae=self.assoc.requestor.ae_title,
            ),
        )


class DatasetStream(BytesIO):
    """Takes the place of the buffer in which pynetdicom collects a data set; stays empty."""

    def __init__(self, incoming: Incoming) -> None:
        super().__init__()
        self.incoming = incoming

    def write(self, fragment: "ReadableBuffer", /) -> int:
        """Give a fragment to the spool."""
        view = memoryview(fragment)
        self.incoming.write(view)
        return view.nbytes


def _run_upper_layer(run: Callable[[], None], association: Association, hooks: Hooks) -> None:
    """Run pynetdicom's upper layer; what it does not understand ends it, and so the association."""
    try:
        run()
    except (InvalidEventError, *PYDICOM_ERRORS) as error:
        abort_for(error, association, hooks)


def run_to_the_end(run: Callable[[], None], association: Association, hooks: Hooks) -> None:
    """Run an association and tell the hooks when it is over, whatever happens."""
    try:
        run()
    except PYDICOM_ERRORS as error:
        abort_for(error, association, hooks)
        if association.dul.socket is not None:
            association.dul.socket.close()
    finally:
        hooks.ended(association)


def abort_for(error: Exception, association: Association, hooks: Hooks) -> None:
    """Send an A-ABORT because of what pynetdicom could not decode, and report it."""
    # The words of the error may quote what the peer sent.
    words = f"what cannot be understood ({type(error).__name__})"
    hooks.aborted(association, Cause.INVALID_PDU, words)
    if association.dul.socket is not None:
        with suppress(OSError):
            association.dul.socket.send(A_ABORT)
