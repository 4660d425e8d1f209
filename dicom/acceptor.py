"""What the storage SCP needs from inside pynetdicom, all of it in one place.

pynetdicom's own server keeps five connections waiting, reads 4,096 bytes at a time, believes any PDU
length and assembles data sets in memory. Here each accepted association gets a socket that reads whole
PDUs up to a bound and a DIMSE provider that passes data set fragments on as they come.
"""

import logging
import socket
from collections.abc import Callable
from functools import partial
from io import BytesIO
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom.header import PYDICOM_ERRORS
from dicom.spool import Announced, Incoming

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from pynetdicom.transport import AssociationSocket

LOGGER: Final = logging.getLogger(__name__)

# pynetdicom's own handlers format every PDU and command for a log that nobody may keep.
_config.LOG_HANDLER_LEVEL = "none"

MAXIMUM_PDU: Final = 256 * 2**10
# No command of the services that we offer comes near this.
_MAXIMUM_COMMAND: Final = 64 * 2**10


class Hooks(Protocol):
    """What happens on each accepted connection; called from its threads."""

    idle_seconds: float

    def announced(self, association: Association, announced: Announced) -> Incoming:
        """Return where the data set goes that a C-STORE command announces."""

    def ended(self, association: Association) -> None:
        """The association is over and its thread ends."""


class AcceptorServer(ThreadedAssociationServer):
    """pynetdicom's server with a queue for a morning's rush of connections."""

    request_queue_size = 512
    daemon_threads = True

    def shutdown(self) -> None:
        """Stop listening; associations go on."""
        TCPServer.shutdown(self)
        self.server_close()


class IncomingConnection(RequestHandler):
    """Makes an accepted connection an association that streams to the spool."""

    def __init__(self, *args: Any, hooks: Hooks) -> None:  # noqa: ANN401 - socketserver's own
        self._hooks = hooks
        super().__init__(*args)

    def _create_association(self) -> Association:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A sender that stops in the middle of a PDU would otherwise hold its thread for ever.
        self.request.settimeout(self._hooks.idle_seconds)
        association = super()._create_association()
        association.dimse = StreamingDIMSE(association, self._hooks.announced)
        # pynetdicom makes both objects itself; only their methods can be exchanged.
        transport = cast("AssociationSocket", association.dul.socket)
        transport.recv = partial(_read_exactly, self.request)  # type: ignore[method-assign]
        run = partial(_run, association.run, association, self._hooks)
        association.run = run  # type: ignore[method-assign]
        # What is durable was acknowledged; a process that stops need not wait for dead peers.
        association.daemon = association.dul.daemon = True
        return association


class StreamingDIMSE(DIMSEServiceProvider):
    """Passes the fragments of a C-STORE data set to the spool instead of collecting them."""

    def __init__(
        self,
        association: Association,
        announced: Callable[[Association, Announced], Incoming],
    ) -> None:
        super().__init__(association)
        self._announced = announced

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of one P-DATA-TF one by one: a command may end where its data begin."""
        for context_id, fragment in primitive.presentation_data_value_list:
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

    def _direct(self, message: DIMSEMessage) -> None:
        if isinstance(message, C_STORE_RQ):
            if not isinstance(message.data_set, DatasetStream):
                message.data_set = DatasetStream(self._incoming(message))
            return
        parts = (message.encoded_command_set, message.data_set)
        if any(part and part.tell() > _MAXIMUM_COMMAND for part in parts):
            self._refuse("a message longer than any that this service knows")

    def _refuse(self, what: str) -> None:
        LOGGER.warning("association aborted: %s sent %s", self.assoc.requestor.ae_title, what)
        self.message = None
        self.dul.event_queue.put("Evt19")  # unrecognized or invalid PDU: abort (PS3.8 table 9-10)

    def _incoming(self, message: DIMSEMessage) -> Incoming:
        syntaxes = [
            context.transfer_syntax[0]
            for context in self.assoc.accepted_contexts
            if context.context_id == message.context_id
        ]
        return self._announced(
            self.assoc,
            Announced(
                sop_class_uid=str(message.command_set.get("AffectedSOPClassUID", "")),
                sop_instance_uid=str(message.command_set.get("AffectedSOPInstanceUID", "")),
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


def _read_exactly(connection: socket.socket, length: int) -> bytearray:
    """Return `length` bytes, or fewer when the peer closed the connection.

    Raises:
        OSError: A PDU longer than we agreed to take, or the peer was silent for too long.
    """
    if length > MAXIMUM_PDU:
        raise OSError("the peer announced a PDU longer than the negotiated maximum")
    received = bytearray(length)
    view = memoryview(received)
    while view:
        count = connection.recv_into(view)
        if not count:
            return received[: length - len(view)]
        view = view[count:]
    return received


def _run(run: Callable[[], None], association: Association, hooks: Hooks) -> None:
    try:
        run()
    finally:
        hooks.ended(association)
