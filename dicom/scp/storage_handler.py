"""What the storage SCP asks of the application, and what it may answer."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Literal, Protocol

from dicom.errors import DicomError
from dicom.scu.commitment import CommitmentRequest
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
    """What the application does; called from the threads of the associations."""

    def admit(self, association: IncomingAssociation) -> Refusal | None:
        """Return why a peer may not associate, or None when it may."""

    def not_now(self, association: IncomingAssociation) -> DicomError | None:
        """Return why no object could be recorded now; asked when a C-STORE command has come."""

    def stored(self, arrived: Sequence[Received]) -> Sequence[DicomError | None]:
        """Record durable Instances that came at the same time, on any associations.

        A sender hears Success only after this has returned.

        Returns:
            For each of them None, or why it cannot be recorded: then its file is removed and its
            sender hears that error's status.
        """

    def commitment_asked(
        self, request: CommitmentRequest, association: IncomingAssociation
    ) -> bool:
        """Return whether the answer goes over an association of our own, which is then promised.

        Raises:
            DicomError: It cannot be promised; the peer hears a failure.
        """

    def commitment_failures(self, request: CommitmentRequest) -> Mapping[str, int]:
        """Return, by SOP Instance UID, why something is not committed (see `dicom.scu.commitment`).

        Raises:
            OutOfResources: That is not known now.
        """

    def association_ended(self, association: IncomingAssociation, outcome: Outcome) -> None:
        """An association that was admitted is over."""
