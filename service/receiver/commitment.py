"""Storage commitment (PS3.4 J): checks the hashes of the files, and records the reports that are owed.

A report over an association of our own is a row of the database, committed before the peer's request is
accepted; the sweeper sends it (`service.sweeper.commitment_sender`).
"""

from collections.abc import Callable

from dicom.errors import OutOfResources
from dicom.scu.commitment import CLASS_INSTANCE_CONFLICT, NO_SUCH_INSTANCE
from dicom.scu.commitment_request import CommitmentRequest, Reference
from dicom.spool.spool import is_kept
from dicom.study import Instance
from service.errors import StoreError
from service.settings.config import Settings
from service.store import Store
from service.system.spool_walk import holds_folders


class Commitments:
    """Checks commitment requests, and records the reports that are owed."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Take the settings and the store in which Instances are recorded."""
        self._settings = settings
        self._store = store

    def failures(
        self, request: CommitmentRequest, checked: Callable[[], None] = lambda: None
    ) -> dict[str, int]:
        """Return the Failure Reason of each Instance that is not committed, by SOP Instance UID.

        The files are read now.

        Args:
            request: The request.
            checked: Called after each Instance.

        Raises:
            OutOfResources: The database or the spool cannot be read now, so the answer is unknown.
        """
        found = {}
        for each in request.references:
            if fault := self._fault(each):
                found[each.sop_instance_uid] = fault
            checked()
        return found

    def _fault(self, reference: Reference) -> int:
        """Return the Failure Reason; 0 if the Instance is recorded and its file's hash is right."""
        try:
            images = self._store.instances_with_uid(reference.sop_instance_uid)
        except StoreError as error:
            raise OutOfResources(f"the database cannot be read now: {error}") from None
        if not images:
            return NO_SUCH_INSTANCE
        if all(image.sop_class_uid != reference.sop_class_uid for image in images):
            return CLASS_INSTANCE_CONFLICT
        # One UID may have come with different bytes. The request does not say which, so check all.
        whole = all(self._is_intact(image) for image in images)
        return 0 if whole else NO_SUCH_INSTANCE

    def _is_intact(self, image: Instance) -> bool:
        try:
            if is_kept(image.path, image.digest):
                return True
            if image.path.exists() or holds_folders(self._settings.spool_dir):
                return False
        except OSError as error:
            raise OutOfResources(f"the spool cannot be read now: {error.strerror}") from None
        raise OutOfResources("the spool is empty: its disk may not be mounted")

    def promise(self, request: CommitmentRequest, *, host: str, port: int, called: str) -> None:
        """Promise a report to a peer; it is committed in the database when this returns.

        Raises:
            OutOfResources: The database does not accept it.
        """
        try:
            self._store.owe_report(request, ae_title=called, host=host, port=port)
        except StoreError as error:
            raise OutOfResources(f"the report cannot be recorded: {error}") from None
