"""Fetches Instances that an archive holds and that did not arrive, as durably as received ones.

Each is stored like a STOW-RS part: spool file synced, row committed. A Study of which all were fetched
gets its job at once, as after the release of an association.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dicom.archives.archive import Archive, HeldInstance
from dicom.dicomweb.stow_request import PartFile
from dicom.errors import (
    DatasetMismatch,
    DestinationError,
    DicomError,
    InvalidDataset,
    UnsupportedSOPClass,
    UnsupportedTransferSyntax,
)
from dicom.scp.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES
from dicom.spool.incoming_file import Announced, Incoming
from dicom.spool.ingest import IncomingAssociation, Ingest
from dicom.spool.spool import Spool
from service.log import get_logger
from service.receiver.storage_service import StorageService
from service.settings.config import Settings

log = get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Fetched:
    """The result of fetching Instances of one Study.

    Attributes:
        refused: Reasons by SOP Instance UID, for Instances that will never be stored.
        postponed: Reasons by SOP Instance UID, for Instances that may be stored another time.
        fault: Why the archive did not give all Instances; "" if it did.
        stops_fetching: Whether fetching another Study now would fail as well.
    """

    refused: dict[str, str] = field(default_factory=dict)
    postponed: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    stops_fetching: bool = False


class Fetcher:
    """Fetches Studies; what it stores counts as sent by one calling AE."""

    def __init__(
        self, settings: Settings, spool: Spool, reception: StorageService, calling_ae: str
    ) -> None:
        self._spool = spool
        self._ingest = Ingest(spool, reception.record)
        self._reception = reception
        self._calling_ae = calling_ae
        self._called_ae = settings.receiver.ae_title
        self._accepted = frozenset({*STORAGE_CLASSES, *settings.receiver.storage_classes})

    def fetch(self, archive: Archive, instances: Sequence[HeldInstance]) -> Fetched:
        """Fetch Instances of one Study; those that came are durable when this returns."""
        fetched = Fetched()
        association = IncomingAssociation(
            id=uuid.uuid4().hex,
            calling_ae=self._calling_ae,
            called_ae=self._called_ae,
            address="",
        )

        def take(instance: HeldInstance, pieces: Iterable[bytes]) -> bool:
            return self._take(instance, pieces, association, fetched)

        try:
            archive.fetch(instances, take)
        except DestinationError as error:
            fetched.fault, fetched.stops_fetching = str(error), error.transient
        # "aborted" leaves an incomplete Study to the quiet time: the rest may come at the next look.
        whole = not fetched.fault and not fetched.postponed
        self._reception.association_ended(association, "released" if whole else "aborted")
        return fetched

    def _take(
        self,
        instance: HeldInstance,
        pieces: Iterable[bytes],
        association: IncomingAssociation,
        fetched: Fetched,
    ) -> bool:
        uid = instance.sop_instance_uid
        try:
            self._store(instance, pieces, association)
        except DestinationError:
            raise  # an error of the archive ends the fetch; one of an Instance does not
        except DicomError as error:
            reasons = fetched.postponed if error.transient else fetched.refused
            reasons[uid] = str(error)
            fetched.stops_fetching = fetched.stops_fetching or error.transient
            log.warning("fetched_not_stored", sop_instance_uid=uid, reason=str(error))
            return False
        return True

    def _store(
        self, instance: HeldInstance, pieces: Iterable[bytes], association: IncomingAssociation
    ) -> None:
        def announced(what: Announced) -> Incoming:
            refused = self._refusal(what, instance, association)
            return self._spool.receive(what, refused=refused)

        file = PartFile({}, announced, self._calling_ae)
        try:
            for piece in pieces:
                file.write(memoryview(piece))
                if file.fault or (file.incoming and file.incoming.fault):
                    break  # it is refused: the rest need not be downloaded
            part = file.end()
            if part.fault or part.incoming is None:
                raise part.fault or InvalidDataset("no file was received")
            study = instance.study_instance_uid
            self._ingest.store(part.incoming, association, study_instance_uid=study)
        finally:
            if file.incoming is not None:
                file.incoming.discard()

    def _refusal(
        self, what: Announced, instance: HeldInstance, association: IncomingAssociation
    ) -> DicomError | None:
        if what.sop_instance_uid != instance.sop_instance_uid:
            return DatasetMismatch("the archive sent another SOP Instance than it lists")
        if what.sop_class_uid not in self._accepted:
            return UnsupportedSOPClass("the SOP Class is not accepted here")
        if what.transfer_syntax_uid not in TRANSFER_SYNTAXES:
            return UnsupportedTransferSyntax("the transfer syntax is not accepted here")
        return self._reception.unavailable(association)
