"""All internal parts of pynetdicom that we use, under public names.

The plain receive path (`dicom/scp/streaming.py`) and the SCU need few of them; `plain_path_gap`
returns which of these the installed version lacks. The fast path
(`dicom/scp/fast_path/fast_association.py`) needs all of them as they are in a tested version:
`LIBRARY.is_tested` decides whether it is used.
"""

from enum import StrEnum
from typing import Any, Final

from dicom.library import Library, UnsuitableLibrary

__all__ = [
    "C_STORE_RQ",
    "C_STORE_RSP",
    "DIMSEMessage",
    "DIMSEServiceProvider",
    "InvalidEventError",
    "ThreadedAssociationServer",
]

LIBRARY: Final = Library(
    name="pynetdicom",
    tested=("3.0.4",),
    consequence="objects are received by the plain path, which takes more processor time",
)

try:
    from pynetdicom import _config
    from pynetdicom.association import Association
    from pynetdicom.dimse import DIMSEServiceProvider
    from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP, DIMSEMessage
    from pynetdicom.dul import DULServiceProvider
    from pynetdicom.fsm import TRANSITION_TABLE, InvalidEventError
    from pynetdicom.presentation import PresentationContext
    from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer
except ImportError as error:
    raise UnsuitableLibrary(f"{LIBRARY.versions}: {error}") from error

_ABORTS: Final = frozenset({"AA-1", "AA-8"})  # actions that send an A-ABORT (PS3.8 table 9-9)


class ProviderState(StrEnum):
    """The states of the upper layer used here (PS3.8 9.2.1), by pynetdicom's names."""

    IDLE = "Sta1"
    AWAITS_REQUEST = "Sta2"
    ESTABLISHED = "Sta6"
    AWAITS_CLOSE = "Sta13"


class ProviderEvent(StrEnum):
    """Events that we queue for the upper layer (PS3.8 table 9-10), by pynetdicom's names."""

    CONNECTION_CLOSED = "Evt17"
    INVALID_PDU = "Evt19"


def log_no_content() -> None:
    """Disable pynetdicom's logging handlers, which format each PDU and command."""
    _config.LOG_HANDLER_LEVEL = "none"


def send_files_as_they_are() -> None:
    """Make `send_c_store(path)` send the file's bytes without decoding and encoding them."""
    _config.STORE_SEND_CHUNKED_DATASET = True


def set_poll(association: Association, seconds: float) -> None:
    """Set the polling interval of the upper layer's thread, in seconds."""
    association.dul._run_loop_delay = seconds


class AdaptedDUL(DULServiceProvider):
    """pynetdicom's upper layer; public names to call and override its internal steps."""

    def _read_pdu_data(self) -> None:
        self.read_pdu()

    def read_pdu(self) -> None:
        """Read one PDU and queue its event."""
        super()._read_pdu_data()

    def _decode_pdu(self, bytestream: bytearray) -> Any:  # noqa: ANN401 - pynetdicom's own
        return self.decode_pdu(bytestream)

    def decode_pdu(self, content: bytearray) -> Any:  # noqa: ANN401 - pynetdicom's own
        """Return the decoded PDU and its event."""
        return super()._decode_pdu(content)

    def take_primitive(self) -> bool:
        """Queue the event of the user's next primitive; return False if there is none."""
        return bool(self._process_recv_primitive())

    @property
    def newest_event(self) -> str:
        """The event queued last; "" if the queue is empty."""
        events = self.event_queue.queue
        return str(events[-1]) if events else ""

    @property
    def has_invalid_pdu(self) -> bool:
        """Whether an invalid PDU was read and not yet answered."""
        return ProviderEvent.INVALID_PDU in self.event_queue.queue

    @property
    def aborts_next(self) -> bool:
        """Whether the newest event makes the state machine send an A-ABORT."""
        state = self.state_machine.current_state
        # If it has a thread of its own, the event of the connection may still be queued before this one.
        state = ProviderState.AWAITS_REQUEST.value if state == ProviderState.IDLE else state
        return TRANSITION_TABLE.get((self.newest_event, state)) in _ABORTS

    @property
    def is_ended(self) -> bool:
        """Whether the upper layer is stopped or stopping."""
        return self._kill_thread

    def end(self) -> None:
        """Stop the upper layer."""
        self._kill_thread = True

    def note_ready(self) -> None:
        """Signal that the upper layer is ready, as its thread does after `start`."""
        self.assoc._dul_ready.set()


class AdaptedAssociation(Association):
    """pynetdicom's association with a replaceable loop."""

    def _run_reactor(self) -> None:
        self.serve_requests()

    def serve_requests(self) -> None:
        """Serve the peer's requests until the association is over."""
        super()._run_reactor()

    def serve_request(self, message: Any, context_id: int) -> None:  # noqa: ANN401 - a DIMSE primitive
        """Serve one request by pynetdicom's service classes."""
        self._serve_request(message, context_id)

    @property
    def is_killed(self) -> bool:
        """Whether the association is over."""
        return self._kill

    def allow_requests(self) -> None:
        """Let this thread send requests at once; only valid if no other thread takes messages."""
        self._is_paused = True

    def accepted_context(self, context_id: int) -> PresentationContext | None:
        """Return the accepted presentation context with this ID, or None.

        Faster than the public list, which is a sorted copy.
        """
        return self._accepted_cx.get(context_id)


class AdaptedSocket(AssociationSocket):
    """pynetdicom's socket with a replaceable way to close."""

    @property
    def is_connected(self) -> bool:
        """Whether pynetdicom considers the socket connected."""
        return bool(self._is_connected)

    def _shutdown_socket(self) -> None:
        self.shut_down()

    def shut_down(self) -> None:
        """Close the connection."""
        super()._shutdown_socket()


class AdaptedRequestHandler(RequestHandler):
    """pynetdicom's handler of an accepted connection; creates a replaceable association."""

    def _create_association(self) -> Association:
        return self.make_association()

    def make_association(self) -> Association:
        """Return the association of this connection; it is not started."""
        return super()._create_association()

    def share_server(self, association: Association) -> None:
        """Assign the server, and a copy of its event handlers, to the association."""
        association._server = self.server
        association._handlers = dict(self.server._handlers)


# Parts used by the plain path and the SCU: methods, and attributes that constructors set.
_PLAIN_METHODS: Final = (
    (AssociationSocket, "_shutdown_socket"),
    (DULServiceProvider, "_decode_pdu"),
    (DULServiceProvider, "_read_pdu_data"),
    (RequestHandler, "_create_association"),
)
_PLAIN_ATTRIBUTES: Final = (
    (AssociationSocket, "_is_connected"),
    (DULServiceProvider, "_run_loop_delay"),
)


def plain_path_gap() -> str:
    """Return a sentence that lists what the installed version lacks for the plain path, or ""."""
    lacking = [
        f"{owner.__name__}.{name}" for owner, name in _PLAIN_METHODS if not hasattr(owner, name)
    ]
    lacking += [
        f"{owner.__name__}.{name}"
        for owner, name in _PLAIN_ATTRIBUTES
        if name not in owner.__init__.__code__.co_names
    ]
    if not hasattr(_config, "LOG_HANDLER_LEVEL"):
        lacking.append("_config.LOG_HANDLER_LEVEL")
    if not lacking:
        return ""
    return f"{LIBRARY.versions}; it lacks {', '.join(lacking)}, so nothing can be received"
