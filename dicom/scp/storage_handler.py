"""The interface that an application implements for the storage SCP."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Literal, Protocol

from dicom.errors import DicomError
from dicom.scu.commitment_request import CommitmentRequest
from dicom.spool.ingest import IncomingAssociation, Received

Outcome = Literal["released", "aborted", "broken"]


class Refusal(Enum):
    """Why an association is rejected: result, source and reason (PS3.8 table 9-21)."""

    CALLING_AE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_NOT_RECOGNIZED = (1, 1, 7)
    APPLICATION_CONTEXT_NOT_SUPPORTED = (1, 1, 2)
    NO_REASON_GIVEN = (2, 1, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


class StorageHandler(Protocol):
    """Decisions and records of the application; called from the threads of the associations."""

    def admit(self, association: IncomingAssociation) -> Refusal | None:
        """Return why an association is rejected, or None to accept it."""

    def unavailable(self, association: IncomingAssociation) -> DicomError | None:
        """Return why no object can be recorded now, or None; called for each C-STORE command."""

    def record(self, arrived: Sequence[Received]) -> Sequence[DicomError | None]:
        """Record durable Instances that arrived at the same time, on any associations.

        Success is sent only after this has returned.

        Returns:
            For each Instance None, or why it cannot be recorded; then its new file is removed and
            that error's status is sent.
        """

    def accept_commitment(
        self, request: CommitmentRequest, association: IncomingAssociation
    ) -> bool:
        """Accept a request for storage commitment.

        Returns:
            True if the application will report on an association that we request; False to report on
            the association of the request.

        Raises:
            DicomError: No report can be promised; a failure status is sent.
        """

    def commitment_failures(self, request: CommitmentRequest) -> Mapping[str, int]:
        """Return the Failure Reason of each SOP Instance UID not committed (`dicom.scu.commitment`).

        Raises:
            OutOfResources: It cannot be determined now.
        """

    def association_ended(self, association: IncomingAssociation, outcome: Outcome) -> None:
        """Note the end of an association that was established."""
