"""pynetdicom's upper layer and DIMSE provider, run by the thread of their association."""

import threading
import time
from typing import Any, cast

from pynetdicom.association import Association

from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.pynetdicom_private import AdaptedAssociation, InvalidEventError, ProviderState
from dicom.scp.fast_path.buffered_socket import BufferedSocket
from dicom.scp.fast_path.dataset_transfer import DatasetTransfer
from dicom.scp.hooks import Hooks
from dicom.scp.pdu_codec import (
    P_DATA_TF,
    PDU,
    PDV,
    SMALLEST_COMMAND,
    StoreCommand,
    read_command,
    response,
)
from dicom.scp.streaming import MAXIMUM_COMMAND, MAXIMUM_PDU, StreamingDIMSE, abort_for
from dicom.scp.upper_layer import ReportingDUL
from dicom.spool.incoming_file import Announced


class InlineDUL(ReportingDUL):
    """pynetdicom's upper layer without its own thread: the association's thread runs it."""

    def __init__(self, association: Association, hooks: Hooks) -> None:
        super().__init__(association, hooks)
        self._running = False
        # threading.get_ident() of the thread that runs the association.
        self.thread_number = 0

    @property
    def buffered_socket(self) -> BufferedSocket:
        """The socket, always a BufferedSocket."""
        return cast("BufferedSocket", self.socket)

    def start(self) -> None:
        """Mark the upper layer as running; pynetdicom would start a thread."""
        self._running = True
        self.note_ready()

    def is_alive(self) -> bool:
        """Return whether the upper layer is running."""
        return self._running and not self.is_ended

    def has_queued_work(self) -> bool:
        """Return whether events or primitives are queued that need no more bytes from the peer."""
        return not (self.event_queue.empty() and self.to_provider_queue.empty())

    def stop_dul(self) -> bool:
        """Advance the state machine to its end; return True once it is idle (called repeatedly)."""
        # Closing queues "transport connection closed", which leads from every state to idle.
        if self.state_machine.current_state not in {ProviderState.IDLE, ProviderState.AWAITS_CLOSE}:
            self.buffered_socket.close()
        self.step(0)
        if self.state_machine.current_state != ProviderState.IDLE:
            return False
        self.end()
        return True

    def send_pdu(self, primitive: Any) -> None:  # noqa: ANN401 - pynetdicom's own
        """Send `primitive` before returning; from another thread, wake the association's to send it."""
        super().send_pdu(primitive)
        if threading.get_ident() == self.thread_number:
            self.step(0)
        else:
            self.buffered_socket.stop_reading()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:  # noqa: ANN401 - pynetdicom's own
        """Return the next primitive for the user, or None; with `wait`, run until one or the timeout.

        Args:
            wait: Whether to wait for a primitive.
            timeout: Seconds; None takes the timeout of an association request.
        """
        if wait:
            end = time.monotonic() + (timeout or self._hooks.request_seconds)
            while self.to_user_queue.empty() and self.is_alive() and time.monotonic() < end:
                self.step(end - time.monotonic())
        return super().receive_pdu()

    def step(self, seconds: float) -> None:
        """Process queued events and primitives, or one PDU, for which it waits up to `seconds`."""
        if self.state_machine.current_state == ProviderState.AWAITS_CLOSE:
            self.buffered_socket.close_gracefully()
        elif not self.event_queue.empty() or self.take_primitive():
            pass
        elif self.buffered_socket.wait(seconds):
            self.read_pdu()
        while not self.event_queue.empty() and not self.is_ended:
            try:
                self.state_machine.do_action(self.event_queue.get(block=False))
            except (InvalidEventError, *PYDICOM_ERRORS) as error:
                abort_for(error, self.assoc, self._hooks)
                self.buffered_socket.close_gracefully()
                self.end()

    def serve_store(self) -> bool:
        """Serve one C-STORE request; return False if something else comes next.

        Raises:
            OSError: The connection ended, or a read timed out.
            UnexpectedFragment: A fragment does not belong to the message, or lengths contradict.
        """
        connection = self.buffered_socket
        found = self._next_store()
        if found is None:
            return False
        context, command, pdu_left = found
        syntax = str(context.transfer_syntax[0])
        incoming = self._hooks.open_incoming(
            self.assoc,
            Announced(
                sop_class_uid=command.class_uid,
                sop_instance_uid=command.instance_uid,
                transfer_syntax_uid=syntax,
                source_ae=self.assoc.requestor.ae_title,
            ),
        )
        transfer = DatasetTransfer(connection, incoming, pdu_left)
        if not transfer.run(context.context_id):
            # Another PDU ends the association: the state machine decides how, and
            # `Hooks.association_ended` removes the incomplete file.
            return False
        # The rest of this PDU belongs to the next message: give it a PDU header of its own.
        if transfer.pdu_left:
            connection.put_back(PDU.pack(P_DATA_TF, transfer.pdu_left))
        status, comment = self._hooks.store(self.assoc, incoming, command.class_uid)
        connection.send(response(context.context_id, command, status, comment))
        return True

    def _next_store(self) -> tuple[Any, StoreCommand, int] | None:
        """Take an ordinary C-STORE command from the buffer; leave anything else there.

        Returns:
            Presentation context, command, and the number of bytes that follow in its PDU; or None.
        """
        connection = self.buffered_socket
        connection.ensure(PDU.size)
        kind, pdu_left = PDU.unpack_from(connection.view, connection.low)
        if kind != P_DATA_TF or not SMALLEST_COMMAND < pdu_left <= MAXIMUM_PDU:
            return None
        connection.ensure(PDU.size + PDV.size)
        length, context_id, control = PDV.unpack_from(connection.view, connection.low + PDU.size)
        # Only a command in a single fragment: bit 0 is set for a command, bit 1 for the last fragment.
        if control & 3 != 3 or not 2 <= length <= min(pdu_left - 4, MAXIMUM_COMMAND):
            return None
        size = PDU.size + 4 + length
        connection.ensure(size)
        start = connection.low + PDU.size + PDV.size
        command = read_command(bytes(connection.view[start : connection.low + size]))
        context = cast("AdaptedAssociation", self.assoc).accepted_context(context_id)
        if command is None or context is None or command.class_uid != context.abstract_syntax:
            return None
        connection.low += size
        return context, command, pdu_left - length - 4


class InlineDIMSE(StreamingDIMSE):
    """Runs the upper layer while waiting for a message, because no other thread does."""

    def get_msg(self, block: bool = False) -> Any:  # noqa: ANN401 - pynetdicom's own
        """Return the next message; with `block`, wait for it until the DIMSE timeout."""
        dul = cast("InlineDUL", self.dul)
        end = time.monotonic() + (self.dimse_timeout or 0)
        while block and self.msg_queue.empty() and time.monotonic() < end:
            if not dul.is_alive() or dul.state_machine.current_state != ProviderState.ESTABLISHED:
                break
            dul.step(end - time.monotonic())
        return super().get_msg(block=False)
