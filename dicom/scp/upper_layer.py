"""pynetdicom's upper layer, extended to tolerate irregular requests and to report each abort.

pynetdicom aborts an association that sends an invalid PDU and reports it only in its own log, which
may quote what the peer sent. Here the cause is passed to the hooks.
"""

from typing import TYPE_CHECKING, Any, Final

from dicom.pynetdicom_private import AdaptedDUL
from dicom.scp.association_request import MalformedRequest, has_known_version, readable_request
from dicom.scp.refusals import Cause

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from dicom.scp.hooks import Hooks

_ASSOCIATE_RQ: Final = 0x01


class ReportingDUL(AdaptedDUL):
    """Repairs an A-ASSOCIATE-RQ before it is decoded; reports why the state machine aborts."""

    def __init__(self, association: "Association", hooks: "Hooks") -> None:
        super().__init__(association)
        self._hooks = hooks
        self._fault = ""

    def read_pdu(self) -> None:
        """Read one PDU; report it if the state machine answers it with an abort."""
        if self.has_invalid_pdu:
            return  # the bytes after an invalid PDU do not begin at a PDU boundary
        self._fault = "a PDU of unknown type"
        super().read_pdu()
        if self.has_invalid_pdu:
            self._hooks.report_abort(self.assoc, Cause.INVALID_PDU, self._fault)
        elif self.aborts_next:
            self._hooks.report_abort(self.assoc, Cause.OUT_OF_TURN, "a PDU out of turn")

    def decode_pdu(self, content: bytearray) -> Any:  # noqa: ANN401 - pynetdicom's own
        """Return the PDU and its event; an A-ASSOCIATE-RQ is repaired first.

        Raises:
            MalformedRequest: The A-ASSOCIATE-RQ cannot be repaired.
        """
        self._fault = f"a PDU of type {content[0]:02X} that cannot be decoded"
        if content[0] != _ASSOCIATE_RQ:
            return super().decode_pdu(content)
        try:
            request = readable_request(bytes(content))
        except MalformedRequest as error:
            self._fault = str(error)
            raise
        if not has_known_version(request):
            # Reported here because pynetdicom rejects it without an event (PS3.8 table 9-21: 1, 2, 2).
            reason = "a protocol version other than 1"
            self._hooks.report_abort(self.assoc, Cause.PROTOCOL_VERSION, reason)
        return super().decode_pdu(bytearray(request))
