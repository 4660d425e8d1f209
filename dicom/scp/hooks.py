"""What the parts of the storage SCP call as associations and data sets come and go."""

from typing import Protocol

from pynetdicom.association import Association

from dicom.scp.refusals import Cause
from dicom.spool.incoming_file import Announced, Incoming


class Hooks(Protocol):
    """What happens on each accepted connection; called from its threads."""

    request_seconds: float
    idle_seconds: float

    def announced(self, association: Association, announced: Announced) -> Incoming:
        """Return where the data set goes that a C-STORE command announces."""

    def stored(
        self, association: Association, incoming: Incoming | None, context_class: str
    ) -> tuple[int, str]:
        """Return status and comment for a data set that came in full; never raises."""

    def served(self, association: Association) -> None:
        """A request was answered; from the fast path only, where this thread may send requests."""

    def aborted(self, association: Association, cause: Cause, words: str) -> None:
        """The association is aborted or rejected for what the peer sent: `words`, without values."""

    def ended(self, association: Association) -> None:
        """The association is over and its thread ends."""
