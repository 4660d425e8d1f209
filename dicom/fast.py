"""The short way of a data set from the socket to the spool, inside pynetdicom 3.0.4.

One thread for each association instead of two that wake every millisecond. Between the first and the
last byte of a C-STORE request nothing is decoded: the command is read by its few elements, data set
fragments go from one buffer to the file, the response is written as bytes. Whatever is not an ordinary
C-STORE request - all other services, odd commands, release, abort - goes to pynetdicom's own decoding
and state machine, and from there the plain path of `dicom/acceptor.py`.

This depends on the inner classes of one version of pynetdicom; `IS_USABLE` tells whether it is that one.
"""

import logging
import re
import socket
import ssl
import struct
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import pynetdicom
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError

from dicom.acceptor import (
    MAXIMUM_COMMAND,
    MAXIMUM_PDU,
    Hooks,
    IncomingConnection,
    PlainSocket,
    StreamingDIMSE,
    run_to_the_end,
)
from dicom.header import PYDICOM_ERRORS
from dicom.spool import Announced, Incoming

LOGGER: Final = logging.getLogger(__name__)

WRITTEN_FOR: Final = "3.0.4"
IS_USABLE: Final = pynetdicom.__version__ == WRITTEN_FOR

_BUFFER: Final = 256 * 2**10
# A piece of at least this size is waited for by the kernel, not by us in many small reads.
_LARGE: Final = 32 * 2**10
_P_DATA_TF: Final = 0x04
# By the service provider, invalid PDU parameter value (PS3.8 9.3.8)
_A_ABORT: Final = bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 6])
_PDU: Final = struct.Struct(">BxL")
_PDV: Final = struct.Struct(">LBB")
_ELEMENT: Final = struct.Struct("<HHL")
_UID: Final = re.compile(rb"[0-9.]{1,64}\0?")
_NO_DATA_SET: Final = 0x0101
_C_STORE_RQ: Final = 0x0001
_C_STORE_RSP: Final = 0x8001
# A C-STORE command with UIDs of one character is longer.
_SMALLEST_COMMAND: Final = 80
_GOODBYE_SECONDS: Final = 1.0
# A response must fit into one PDU of the peer to be sent in one.
_SMALLEST_PEER: Final = 1024


class _Broken(OSError):
    """The connection ended, or its peer stopped talking, in the middle of a PDU."""


class _OutOfTurn(Exception):
    """The peer sent fragments that belong to no message, or lengths that contradict each other."""


@dataclass(frozen=True, slots=True)
class _Store:
    """A C-STORE command as its elements' values, padding removed."""

    message_id: int
    class_uid: str
    instance_uid: str


class BufferedSocket(PlainSocket):
    """Reads as much as there is into one buffer; everybody else reads from that buffer first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pynetdicom's own
        super().__init__(*args, **kwargs)
        self.view = memoryview(bytearray(_BUFFER))
        self.low = self.high = 0
        self._begun = b""
        # In one call the kernel may collect a whole PDU; a TLS record is all that OpenSSL gives.
        self._flags = 0 if isinstance(self.socket, ssl.SSLSocket) else socket.MSG_WAITALL

    def wait(self, seconds: float) -> bool:
        """Return whether bytes, or the end of the connection, come within `seconds`."""
        return bool(self._begun) or self.high > self.low or super().wait(seconds)

    @property
    def has_begun(self) -> bool:
        """Whether the next bytes are in the middle of a PDU that was begun elsewhere."""
        return bool(self._begun)

    def set_patience(self, seconds: float) -> None:
        """Let one read or write last so long; then it raises OSError."""
        if self.socket is None:
            return
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.settimeout(seconds)
            return
        # The kernel's own time limit: with Python's the socket would not be a blocking one, and
        # MSG_WAITALL would have no effect.
        self.socket.settimeout(None)
        limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def stop_reading(self) -> None:
        """Wake whoever waits for the peer; from now on the connection seems ended to its reader."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RD)  # not the one of TLS

    def say_goodbye(self) -> None:
        """Close so that the peer still receives what was sent: unread bytes would reset it."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_WR)
                end = time.monotonic() + _GOODBYE_SECONDS
                self.low = self.high = 0
                while time.monotonic() < end and super().wait(end - time.monotonic()):
                    if not connection.recv_into(self.view):
                        break
        self.close()

    def close(self) -> None:
        """Close it; an association that is over keeps no buffer until it is collected."""
        super().close()
        self.low = self.high = 0
        self.view = memoryview(b"")

    def put_back(self, header: bytes) -> None:
        """Let the next reader begin with `header`."""
        self._begun = header

    def need(self, count: int) -> None:
        """Have at least `count` bytes in the buffer.

        Raises:
            OSError: The connection ended before, or was silent for too long.
        """
        have = self.high - self.low
        if have >= count:
            return
        if _BUFFER - self.low < count or not have:
            self.view[:have] = self.view[self.low : self.high]
            self.low, self.high = 0, have
        while self.high - self.low < count:
            self.fill()

    def fill(self, certain: int = 0) -> None:
        """Read into the buffer's free end; `certain` is how many bytes are known to come.

        Raises:
            OSError: The connection ended, or was silent for too long.
        """
        if self.socket is None:
            raise _Broken("the connection is closed")
        room = self.view[self.high :]
        if certain >= _LARGE and self._flags:
            count = self.socket.recv_into(room, min(certain, len(room)), self._flags)
        else:
            count = self.socket.recv_into(room)
        if not count:
            raise _Broken("the connection ended within a PDU")
        self.high += count

    def _receive_into(self, view: memoryview) -> int:
        source = memoryview(self._begun) if self._begun else self.view[self.low : self.high]
        if not source:
            return super()._receive_into(view)
        count = min(len(source), len(view))
        view[:count] = source[:count]
        if self._begun:
            self._begun = self._begun[count:]
        else:
            self.low += count
        return count


class _Transfer:
    """The fragments of one data set on their way from the buffer to the file."""

    def __init__(self, source: BufferedSocket, incoming: Incoming, pdu_left: int) -> None:
        self.pdu_left = pdu_left
        self._source = source
        self._incoming = incoming
        self._pieces: list[memoryview] = []

    def run(self, context_id: int) -> bool:
        """Return True after the last fragment; False when another PDU than data interrupts it.

        Raises:
            OSError: The connection ended, or was silent for too long.
            _OutOfTurn: The fragments are not those of one data set.
        """
        while self._begin_pdu():
            length, context, control = self._unpack(_PDV)
            self.pdu_left -= length + 4
            if self.pdu_left < 0 or length < 2 or context != context_id or control & 1:
                raise _OutOfTurn
            self._fragment(length - 2)
            if control & 2:
                self._write()
                return True
        self._write()
        return False

    def _begin_pdu(self) -> bool:
        if self.pdu_left:
            return True
        kind, length = self._unpack(_PDU)
        if kind != _P_DATA_TF:
            self._source.low -= _PDU.size
            return False
        if not _PDV.size <= length <= MAXIMUM_PDU:
            raise _OutOfTurn
        self.pdu_left = length
        return True

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        source = self._source
        if source.high - source.low < layout.size:
            self._write()
            source.need(layout.size)
        values = layout.unpack_from(source.view, source.low)
        source.low += layout.size
        return values

    def _fragment(self, left: int) -> None:
        source = self._source
        while left:
            have = min(left, source.high - source.low)
            if not have:
                self._write()
                source.low = source.high = 0
                source.fill(left)
                continue
            self._pieces.append(source.view[source.low : source.low + have])
            source.low += have
            left -= have

    def _write(self) -> None:
        if self._pieces:
            self._incoming.write_all(self._pieces)
            self._pieces = []


class InlineDUL(DULServiceProvider):
    """pynetdicom's upper layer without a thread of its own: the association's thread drives it."""

    def __init__(self, association: Association, hooks: Hooks) -> None:
        super().__init__(association)
        self._hooks = hooks
        self._running = False

    @property
    def wire(self) -> BufferedSocket:
        """The socket, which is always one of ours."""
        return cast("BufferedSocket", self.socket)

    def start(self) -> None:
        """Let the association begin; pynetdicom would start a thread."""
        self._running = True
        self.assoc._dul_ready.set()  # noqa: SLF001 - what start() does

    def is_alive(self) -> bool:
        """Return whether it still works."""
        return self._running and not self._kill_thread

    def is_awaited(self) -> bool:
        """Return whether there is something to do before the peer says more."""
        return not (self.event_queue.empty() and self.to_provider_queue.empty())

    def stop_dul(self) -> bool:
        """Return True once the state machine is idle; until then let it come to its end."""
        if self.state_machine.current_state not in {"Sta1", "Sta13"}:
            self.wire.close()
        self.step(0)
        if self.state_machine.current_state != "Sta1":
            return False
        self._kill_thread = True
        return True

    def send_pdu(self, primitive: Any) -> None:  # noqa: ANN401 - pynetdicom's own
        """Send it before returning; when another thread asks, wake the association's to do so."""
        super().send_pdu(primitive)
        if cast("FastAssociation", self.assoc).is_own_thread():
            self.step(0)
        else:
            self.wire.stop_reading()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:  # noqa: ANN401 - pynetdicom's own
        """Return the next primitive for the user, working until there is one or `timeout` is over."""
        if wait:
            end = time.monotonic() + (timeout or self._hooks.request_seconds)
            while self.to_user_queue.empty() and self.is_alive() and time.monotonic() < end:
                self.step(end - time.monotonic())
        return super().receive_pdu()

    def step(self, seconds: float) -> None:
        """Do what there is to do, waiting up to `seconds` for the peer when there is nothing."""
        if self.state_machine.current_state == "Sta13":
            self.wire.say_goodbye()
        elif not self.event_queue.empty() or self._process_recv_primitive():
            pass
        elif self.wire.wait(seconds):
            self._read_pdu_data()
        while not self.event_queue.empty() and not self._kill_thread:
            try:
                self.state_machine.do_action(self.event_queue.get(block=False))
            except (InvalidEventError, *PYDICOM_ERRORS) as error:
                # The words of the error may quote what the peer sent.
                caller = self.assoc.requestor.ae_title
                name = type(error).__name__
                LOGGER.warning("association ended: %s sent what is no PDU (%s)", caller, name)
                self.wire.say_goodbye()
                self._kill_thread = True

    def serve_store(self) -> bool:
        """Serve one C-STORE request if one comes next; return False when something else does.

        Raises:
            OSError: The connection ended, or was silent for too long.
            _OutOfTurn: The fragments are not those of one message.
        """
        wire = self.wire
        found = self._next_store()
        if found is None:
            return False
        context, command, pdu_left = found
        syntax = str(context.transfer_syntax[0])
        incoming = self._hooks.announced(
            self.assoc,
            Announced(
                sop_class_uid=command.class_uid,
                sop_instance_uid=command.instance_uid,
                transfer_syntax_uid=syntax,
                source_ae=self.assoc.requestor.ae_title,
            ),
        )
        transfer = _Transfer(wire, incoming, pdu_left)
        if not transfer.run(context.context_id):
            return False  # whatever it is, it ends the association; the state machine says how
        if transfer.pdu_left:
            wire.put_back(_PDU.pack(_P_DATA_TF, transfer.pdu_left))
        status, comment = self._hooks.stored(self.assoc, incoming, command.class_uid)
        wire.send(_response(context.context_id, command, status, comment))
        return True

    def _next_store(self) -> tuple[Any, _Store, int] | None:
        """Take an ordinary C-STORE command off the buffer; anything else is left there.

        Returns:
            Its presentation context, what it says, and how many bytes of its PDU follow.
        """
        wire = self.wire
        wire.need(_PDU.size)
        kind, pdu_left = _PDU.unpack_from(wire.view, wire.low)
        if kind != _P_DATA_TF or not _SMALLEST_COMMAND < pdu_left <= MAXIMUM_PDU:
            return None
        wire.need(_PDU.size + _PDV.size)
        length, context_id, control = _PDV.unpack_from(wire.view, wire.low + _PDU.size)
        if control & 3 != 3 or not 2 <= length <= min(pdu_left - 4, MAXIMUM_COMMAND):
            return None
        size = _PDU.size + 4 + length
        wire.need(size)
        start = wire.low + _PDU.size + _PDV.size
        command = _read_command(bytes(wire.view[start : wire.low + size]))
        context = self.assoc._accepted_cx.get(context_id)  # noqa: SLF001 - the public one is a sorted copy
        if command is None or context is None or command.class_uid != context.abstract_syntax:
            return None
        wire.low += size
        return context, command, pdu_left - length - 4


class InlineDIMSE(StreamingDIMSE):
    """Waits for a message by working, for no other thread would bring it."""

    def get_msg(self, block: bool = False) -> Any:  # noqa: ANN401 - pynetdicom's own
        """Return the next message, with `block` after at most the DIMSE timeout."""
        dul = cast("InlineDUL", self.dul)
        end = time.monotonic() + (self.dimse_timeout or 0)
        while block and self.msg_queue.empty() and time.monotonic() < end:
            if not dul.is_alive() or dul.state_machine.current_state != "Sta6":
                break
            dul.step(end - time.monotonic())
        return super().get_msg(block=False)


class FastAssociation(Association):
    """An association that is one thread."""

    dul: InlineDUL

    def __init__(self, connection: "FastConnection", hooks: Hooks) -> None:
        super().__init__(connection.ae, "acceptor")
        self._hooks = hooks
        self._thread_number = 0
        self._negotiated = False
        self.dul = InlineDUL(self, hooks)
        self.dimse = InlineDIMSE(self, hooks)
        # They set the timers of the upper layer that has just been exchanged.
        self.acse_timeout = connection.ae.acse_timeout
        self.network_timeout = connection.ae.network_timeout

    def is_own_thread(self) -> bool:
        """Return whether the caller is the thread that runs this association."""
        return threading.get_ident() == self._thread_number

    def run(self) -> None:
        """Negotiate and serve until it is over."""
        self._thread_number = threading.get_ident()
        try:
            self.run_reactor()
        except Exception as error:  # noqa: BLE001 - the edge: a thread of an association ends here
            self._explain(error)
        finally:
            self.dul.wire.close()

    def _explain(self, error: Exception) -> None:
        # The error's own words may quote what the peer sent.
        name = type(error).__name__
        if not self._negotiated and isinstance(error, PYDICOM_ERRORS):
            caller = self.requestor.ae_title
            LOGGER.warning("association request of %s cannot be understood (%s)", caller, name)
            self.dul.wire.send(_A_ABORT)
            self.dul.wire.say_goodbye()
            return
        places = "".join(traceback.format_tb(error.__traceback__))
        LOGGER.error("unexpected %s in an association\n%s", name, places)

    def _run_reactor(self) -> None:
        self._negotiated = True
        self.dul.wire.set_patience(self._hooks.idle_seconds)
        while not self._kill:
            try:
                if self._serve_next_store():
                    continue
            except _OutOfTurn:
                caller = self.requestor.ae_title
                LOGGER.warning("association aborted: %s sent fragments out of turn", caller)
                self.dul.event_queue.put("Evt19")  # invalid PDU (PS3.8 table 9-10)
            except OSError:
                if self.dul.to_provider_queue.empty():
                    self.dul.event_queue.put("Evt17")  # the connection is closed
            self.dul.step(0)
            self._serve_queued()
            if self._is_over():
                self.kill()

    def _serve_next_store(self) -> bool:
        dul = self.dul
        if dul.is_awaited():
            return False
        if not dul.wire.wait(self._hooks.idle_seconds):
            LOGGER.warning("association aborted: %s was silent", self.requestor.ae_title)
            self.abort(block=False)
            return False
        if self.dimse.message is not None or dul.wire.has_begun:
            return False
        peer_takes = self.requestor.maximum_length or _SMALLEST_PEER
        if dul.state_machine.current_state != "Sta6" or peer_takes < _SMALLEST_PEER:
            return False
        return dul.serve_store()

    def _serve_queued(self) -> None:
        context_id, message = self.dimse.get_msg()
        if message is not None and context_id is not None:
            self._serve_request(message, context_id)
            # No other thread takes a message: whoever sends a request here need not wait for that.
            self._is_paused = True
            if self.is_established:
                self._hooks.served(self)

    def _is_over(self) -> bool:
        """Tell the peer and the handlers of the end, as pynetdicom's own loop does."""
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu()
            self.is_aborted = True
            self.is_established = False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        return not self.dul.is_alive()


class FastConnection(IncomingConnection):
    """Makes an accepted connection an association of one thread: the one that it is called in."""

    def handle(self) -> None:
        """Run the association to its end."""
        association = self._create_association()
        run_to_the_end(association.run, association, self._hooks)

    def _create_association(self) -> FastAssociation:
        association = FastAssociation(self, self._hooks)
        association._server = self.server  # noqa: SLF001 - as pynetdicom's own
        wire = BufferedSocket(association, client_socket=self.request)
        wire.set_patience(self._hooks.request_seconds)
        association.set_socket(wire)
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # Negotiation only reads them; pynetdicom copies them all for each association.
        acceptor.supported_contexts = self.server.contexts
        association.requestor.address_info = self.remote
        # The server's table holds pynetdicom's own handlers and ours, as its associations' do.
        association._handlers = dict(self.server._handlers)  # noqa: SLF001 - as pynetdicom's own
        return association


def _read_command(encoded: bytes) -> _Store | None:
    """Return an ordinary C-STORE command (PS3.7 9.3.1.1); None for every other or odd one."""
    values = {}
    at = 0
    while at + _ELEMENT.size <= len(encoded):
        group, element, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if group != 0 or length > len(encoded) - at:
            return None
        values[element] = encoded[at : at + length]
        at += length
    class_uid, instance_uid = values.get(0x0002, b""), values.get(0x1000, b"")
    numbers = [values.get(element, b"") for element in (0x0100, 0x0110, 0x0700, 0x0800)]
    if not (_UID.fullmatch(class_uid) and _UID.fullmatch(instance_uid)):
        return None
    if at != len(encoded) or any(len(number) != 2 for number in numbers):
        return None
    field, message_id, priority, data_set = (int.from_bytes(each, "little") for each in numbers)
    if field != _C_STORE_RQ or priority > 2 or data_set == _NO_DATA_SET:
        return None
    return _Store(
        message_id=message_id,
        class_uid=class_uid.rstrip(b"\0").decode("ascii"),
        instance_uid=instance_uid.rstrip(b"\0").decode("ascii"),
    )


def _response(context_id: int, command: _Store, status: int, comment: str) -> bytes:
    """Return a C-STORE-RSP as one P-DATA-TF PDU (PS3.7 9.3.1.2, PS3.8 9.3.5)."""
    elements = [
        (0x0002, command.class_uid.encode("ascii")),
        (0x0100, struct.pack("<H", _C_STORE_RSP)),
        (0x0120, struct.pack("<H", command.message_id)),
        (0x0800, struct.pack("<H", _NO_DATA_SET)),
        (0x0900, struct.pack("<H", status)),
        (0x0902, comment.encode("ascii") + b" " * (len(comment) % 2)),
        (0x1000, command.instance_uid.encode("ascii")),
    ]
    encoded = b"".join(_element(number, value) for number, value in elements if value)
    encoded = _element(0x0000, struct.pack("<L", len(encoded))) + encoded
    header = _PDU.pack(_P_DATA_TF, len(encoded) + 6)
    return header + _PDV.pack(len(encoded) + 2, context_id, 3) + encoded


def _element(number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, number, len(padded)) + padded
