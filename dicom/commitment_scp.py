"""Storage commitment by the SCP: a request in, a report out on the same association or another."""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from pynetdicom import association as dul
from pynetdicom import evt

from dicom.commitment import (
    REQUEST_COMMITMENT,
    CommitmentRequest,
    make_report,
    read_request,
    send_report,
)
from dicom.edge import at_the_edge
from dicom.errors import PROCESSING_FAILURE, DicomError
from dicom.handler import StorageHandler
from dicom.keeping import IncomingAssociation

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import N_ACTION

LOGGER: Final = logging.getLogger(__name__)

_RESOURCES: Final = 0x0213  # PS3.7 C.5.19
_NO_SUCH_ACTION: Final = 0x0123  # PS3.7 C.5.9


@dataclass(slots=True)
class CommitmentDesk:
    """One association's requests for storage commitment (PS3.4 J)."""

    handler: StorageHandler
    association: IncomingAssociation
    unanswered: list[CommitmentRequest] = field(default_factory=list)

    def ask(self, event: evt.Event) -> int:
        """Return the status of a request (PS3.4 J.3.2); 0x0000 promises a report."""
        action = cast("N_ACTION", event.request)
        if action.ActionTypeID != REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION
        encoded = action.ActionInformation
        content = encoded.getvalue() if encoded else b""
        syntax = str(event.context.transfer_syntax)
        return at_the_edge(
            lambda: self._promise(content, syntax),
            PROCESSING_FAILURE,
            lambda: self.association.calling_ae,
        )

    def _promise(self, content: bytes, syntax: str) -> int:
        try:
            request = read_request(content, syntax)
            reported_apart = self.handler.commitment_asked(request, self.association)
        except DicomError as error:
            caller = self.association.calling_ae
            LOGGER.warning("commitment not promised: %s (from %s)", error, caller)
            return _RESOURCES if error.transient else PROCESSING_FAILURE
        if not reported_apart:
            self.unanswered.append(request)
        return 0x0000

    def report(self, association: dul.Association) -> None:
        """Send what was promised on the association itself."""
        while self.unanswered and association.is_established:
            request = self.unanswered.pop(0)
            failures = self.handler.commitment_failures(request)
            status = send_report(association, *make_report(request, failures))
            if status != 0x0000:
                caller = self.association.calling_ae
                LOGGER.warning("commitment report not taken by %s", caller)
