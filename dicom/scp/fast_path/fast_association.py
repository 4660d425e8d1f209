"""The fast path of a data set from the socket to the spool, inside pynetdicom.

One thread serves an association, instead of two that wake every millisecond. An ordinary C-STORE request
bypasses pynetdicom: the command is parsed by its few elements, data set fragments go from one buffer to
the file, and the response is encoded directly. Everything else - other services, unusual commands,
release, abort - goes through pynetdicom's decoding and state machine and the plain path of
`dicom/scp/streaming.py`.

This depends on internal parts of pynetdicom (`dicom/pynetdicom_private.py`), so it is used only with
tested versions.
"""

import threading
from typing import Final

from pynetdicom import evt

from dicom.error_boundary import error_boundary
from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.pynetdicom_private import AdaptedAssociation, ProviderEvent, ProviderState
from dicom.scp.fast_path.buffered_socket import BufferedSocket
from dicom.scp.fast_path.upper_layer import InlineDIMSE, InlineDUL
from dicom.scp.hooks import Hooks
from dicom.scp.pdu_codec import UnexpectedFragment
from dicom.scp.refusals import Cause
from dicom.scp.streaming import IncomingConnection, abort_for, run_to_the_end

# A response is sent as one PDU, so the peer's maximum length must allow at least this.
_SMALLEST_PEER: Final = 1024


class FastAssociation(AdaptedAssociation):
    """An association that runs in a single thread."""

    dul: InlineDUL

    def __init__(self, connection: "FastConnection", hooks: Hooks) -> None:
        super().__init__(connection.ae, "acceptor")
        self._hooks = hooks
        self._negotiated = False
        self.dul = InlineDUL(self, hooks)
        self.dimse = InlineDIMSE(self, hooks)
        # Assigned again because these setters configure the timers of the new upper layer.
        self.acse_timeout = connection.ae.acse_timeout
        self.network_timeout = connection.ae.network_timeout

    def run(self) -> None:
        """Negotiate and serve until the association is over."""
        self.dul.thread_number = threading.get_ident()
        try:
            error_boundary(self._negotiate_and_serve, None, lambda: self.requestor.ae_title)
        finally:
            self.dul.buffered_socket.close()

    def _negotiate_and_serve(self) -> None:
        try:
            self.run_reactor()
        except PYDICOM_ERRORS as error:
            if self._negotiated:
                raise
            abort_for(error, self, self._hooks)
            self.dul.buffered_socket.close_gracefully()

    def serve_requests(self) -> None:
        """Serve C-STORE requests by the fast path and all others by pynetdicom, until the end."""
        self._negotiated = True
        self.dul.buffered_socket.set_timeout(self._hooks.idle_seconds)
        while not self.is_killed:
            try:
                if self._serve_next_store():
                    continue
            except UnexpectedFragment:
                self._hooks.report_abort(self, Cause.OUT_OF_TURN, "fragments out of turn")
                self.dul.event_queue.put(ProviderEvent.INVALID_PDU)
            except OSError:
                # `stop_reading` also ends the read; then a queued abort must be sent first.
                if self.dul.to_provider_queue.empty():
                    self.dul.event_queue.put(ProviderEvent.CONNECTION_CLOSED)
            self.dul.step(0)
            self._serve_queued()
            if self._is_over():
                self.kill()

    def _serve_next_store(self) -> bool:
        dul = self.dul
        if dul.has_queued_work():
            return False
        if not dul.buffered_socket.wait(self._hooks.idle_seconds):
            reason = f"no data for {self._hooks.idle_seconds:g} s"
            self._hooks.report_abort(self, Cause.SILENT, reason)
            self.abort(block=False)
            return False
        # pynetdicom has begun this message, or this PDU holds more fragments: let it go on.
        if self.dimse.message is not None or dul.buffered_socket.has_put_back:
            return False
        # A maximum length of 0 means no limit (PS3.8 D.1).
        peer_takes = self.requestor.maximum_length or _SMALLEST_PEER
        if (
            dul.state_machine.current_state != ProviderState.ESTABLISHED
            or peer_takes < _SMALLEST_PEER
        ):
            return False
        return dul.serve_store()

    def _serve_queued(self) -> None:
        context_id, message = self.dimse.get_msg()
        if message is not None and context_id is not None:
            self.serve_request(message, context_id)
            # No other thread takes messages, so a request sent from here need not pause one.
            self.allow_requests()
            if self.is_established:
                self._hooks.send_pending(self)

    def _is_over(self) -> bool:
        """Return whether the association is over.

        Answer a release request and trigger the event handlers, as pynetdicom's own loop does.
        """
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu()  # triggers EVT_ACSE_RECV
            self.is_aborted = True
            self.is_established = False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        return not self.dul.is_alive()


class FastConnection(IncomingConnection):
    """Turns an accepted connection into an association that runs in the calling thread."""

    def handle(self) -> None:
        """Run the association until its end."""
        association = self.make_association()
        run_to_the_end(association.run, association, self._hooks)

    def make_association(self) -> FastAssociation:
        """Return a single-threaded association; it is not started."""
        association = FastAssociation(self, self._hooks)
        connection = BufferedSocket(association, client_socket=self.request)
        connection.set_timeout(self._hooks.request_seconds)
        association.set_socket(connection)
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # Shared, because negotiation only reads them; pynetdicom copies them for each association.
        acceptor.supported_contexts = self.server.contexts
        association.requestor.address_info = self.remote
        # The server's table has pynetdicom's default handlers and ours, like that of its associations.
        self.share_server(association)
        return association
