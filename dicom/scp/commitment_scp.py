"""Storage commitment SCP: receives N-ACTION requests, and sends N-EVENT-REPORTs on their association.

The application sends the reports that it accepts to send (`StorageHandler.accept_commitment`), over
associations that it requests.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from pynetdicom import association as dul
from pynetdicom import evt

from dicom.error_boundary import error_boundary
from dicom.errors import PROCESSING_FAILURE, DicomError, OutOfResources
from dicom.scp.storage_handler import StorageHandler
from dicom.scu.commitment import (
    REQUEST_COMMITMENT,
    make_report,
    read_request,
    send_report,
)
from dicom.scu.commitment_request import CommitmentRequest
from dicom.spool.ingest import IncomingAssociation

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import N_ACTION

LOGGER: Final = logging.getLogger(__name__)

_RESOURCES: Final = 0x0213  # PS3.7 C.5.19
_NO_SUCH_ACTION: Final = 0x0123  # PS3.7 C.5.9
# Every failure reason is final for the peer, so a short database outage must not be reported as one.
# After this time the association is no longer blocked: the peer may request again (PS3.4 J.3.3).
_KNOWN_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 0.5


@dataclass(slots=True)
class CommitmentService:
    """The storage commitment requests of one association (PS3.4 J).

    Attributes:
        pending: Requests whose report goes over this association. They are in memory only: the end of
            the association or of the process loses them, and the peer must request again.
    """

    handler: StorageHandler
    association: IncomingAssociation
    pending: list[CommitmentRequest] = field(default_factory=list)

    def request(self, event: evt.Event) -> int:
        """Return the status of a request (PS3.4 J.3.2); 0x0000 promises a report."""
        action = cast("N_ACTION", event.request)
        if action.ActionTypeID != REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION
        encoded = action.ActionInformation
        content = encoded.getvalue() if encoded else b""
        syntax = str(event.context.transfer_syntax)
        return error_boundary(
            lambda: self._promise(content, syntax),
            PROCESSING_FAILURE,
            lambda: self.association.calling_ae,
        )

    def _promise(self, content: bytes, syntax: str) -> int:
        try:
            request = read_request(content, syntax)
            reported_apart = self.handler.accept_commitment(request, self.association)
        except DicomError as error:
            caller = self.association.calling_ae
            LOGGER.warning("commitment not promised: %s (from %s)", error, caller)
            return _RESOURCES if error.transient else PROCESSING_FAILURE
        if not reported_apart:
            self.pending.append(request)
        return 0x0000

    def _failures(
        self, request: CommitmentRequest, association: dul.Association
    ) -> Mapping[str, int] | None:
        """Return the failures; None if unknown after 10 s or if the association has ended."""
        deadline = time.monotonic() + _KNOWN_SECONDS
        while association.is_established:
            try:
                return self.handler.commitment_failures(request)
            except OutOfResources as error:
                if time.monotonic() > deadline:
                    caller = self.association.calling_ae
                    LOGGER.warning("commitment state unavailable: %s (for %s)", error, caller)
                    return None
            time.sleep(_AGAIN_SECONDS)
        return None

    def report(self, association: dul.Association) -> None:
        """Send the pending reports on this association."""
        while self.pending and association.is_established:
            failures = self._failures(self.pending[0], association)
            if failures is None:
                return  # stays pending; tried again after the next request
            request = self.pending.pop(0)
            status = send_report(association, *make_report(request, failures))
            if status != 0x0000:
                caller = self.association.calling_ae
                LOGGER.warning("commitment report refused by %s", caller)
