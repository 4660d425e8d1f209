"""Callbacks from the connections of the storage SCP to the SCP itself."""

from typing import Protocol

from pynetdicom.association import Association

from dicom.scp.refusals import Cause
from dicom.spool.incoming_file import Announced, Incoming


class Hooks(Protocol):
    """Callbacks for the events of a connection; called from its threads.

    Attributes:
        request_seconds: Timeout for the association request.
        idle_seconds: Timeout for a silent association.
    """

    request_seconds: float
    idle_seconds: float

    def open_incoming(self, association: Association, announced: Announced) -> Incoming:
        """Return the file for the data set that a C-STORE command announces."""

    def store(
        self, association: Association, incoming: Incoming | None, context_class: str
    ) -> tuple[int, str]:
        """Store a completely received data set; return status and comment, never raise."""

    def send_pending(self, association: Association) -> None:
        """Send pending requests; the fast path calls it after a response, in the same thread."""

    def report_abort(self, association: Association, cause: Cause, reason: str) -> None:
        """Report an abort or rejection; `reason` describes its reason without values."""

    def association_ended(self, association: Association) -> None:
        """Clean up; the association is over and its thread ends."""
