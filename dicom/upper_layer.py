"""pynetdicom's upper layer, reading requests as real peers send them and reporting each abort.

pynetdicom aborts an association that sends an invalid PDU and says so in a log of its own only, which
may quote what the peer sent. Here the cause goes to the hooks.
"""

from typing import TYPE_CHECKING, Any, Final

from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import TRANSITION_TABLE

from dicom.association_request import MalformedRequest, has_known_version, readable_request
from dicom.refusals import Cause

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from dicom.acceptor import Hooks

_ASSOCIATE_RQ: Final = 0x01
_INVALID_PDU: Final = "Evt19"
_IDLE: Final = "Sta1"
_AWAITS_REQUEST: Final = "Sta2"
_ABORTS: Final = frozenset({"AA-1", "AA-8"})  # actions that send an A-ABORT (PS3.8 table 9-9)


class ReportingDUL(DULServiceProvider):
    """Repairs an A-ASSOCIATE-RQ before it is decoded; reports what makes the state machine abort."""

    def __init__(self, association: "Association", hooks: "Hooks") -> None:
        super().__init__(association)
        self._hooks = hooks
        self._fault = ""

    def _read_pdu_data(self) -> None:
        events = self.event_queue.queue
        if _INVALID_PDU in events:
            return  # what follows it is not at the beginning of a PDU
        self._fault = "a PDU of unknown type"
        super()._read_pdu_data()
        event = events[-1] if events else ""
        state = self.state_machine.current_state
        # With a thread of its own the connection's event may still be queued before this one.
        place = (event, _AWAITS_REQUEST if state == _IDLE else state)
        if event == _INVALID_PDU:
            self._hooks.aborted(self.assoc, Cause.INVALID_PDU, self._fault)
        elif TRANSITION_TABLE.get(place) in _ABORTS:
            self._hooks.aborted(self.assoc, Cause.OUT_OF_TURN, "a PDU out of turn")

    def _decode_pdu(self, bytestream: bytearray) -> Any:  # noqa: ANN401 - pynetdicom's own
        self._fault = f"a PDU of type {bytestream[0]:02X} that cannot be decoded"
        if bytestream[0] != _ASSOCIATE_RQ:
            return super()._decode_pdu(bytestream)
        try:
            request = readable_request(bytes(bytestream))
        except MalformedRequest as error:
            self._fault = str(error)
            raise
        if not has_known_version(request):
            # pynetdicom rejects it without an event (PS3.8 table 9-21: 1, 2, 2).
            words = "a protocol version other than 1"
            self._hooks.aborted(self.assoc, Cause.PROTOCOL_VERSION, words)
        return super()._decode_pdu(bytearray(request))
