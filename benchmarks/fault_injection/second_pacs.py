"""A second DIMSE PACS that stops answering, passes a byte a second, or gives each object a new UID."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from fault_injection.slow_peer import Forwarder
from fault_injection.stored import Stored, of_file

AE_TITLE: Final = "SECOND"
_CLASSES: Final[tuple[UID, ...]] = (
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)
_PENDING: Final = 0xFF00
_ACSE_SECONDS: Final = 300.0


class SecondPacs:
    """Stores what comes by C-STORE and lists it by C-FIND; everything goes through `link`.

    Attributes:
        link: The forwarder to which the service connects.
        changes_uids: Whether an object is stored under a new SOP Instance UID, as some archives do.
        kept: What was stored under its own UID.
        others: Objects received under the UID of a kept object, with other content.
        copies: For each SOP Instance UID, what was stored under a new one.
    """

    def __init__(self) -> None:
        """Start it."""
        entity = AE(ae_title=AE_TITLE)
        entity.maximum_associations = 100
        # Longer than the service waits: pynetdicom's own timer would end the association with an
        # exception.
        entity.acse_timeout = _ACSE_SECONDS
        for each in _CLASSES:
            entity.add_supported_context(each, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        for each in (StudyRootQueryRetrieveInformationModelFind, Verification):
            entity.add_supported_context(each, ImplicitVRLittleEndian)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
        ]
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self._lock = threading.Lock()
        self.link = Forwarder(self._server.server_address[1])
        self.changes_uids = False
        self.kept: dict[str, Stored] = {}
        self.others: list[Stored] = []
        self.copies: dict[str, list[Stored]] = {}

    @property
    def renamed(self) -> int:
        """The number of objects stored under a new UID."""
        with self._lock:
            return sum(len(each) for each in self.copies.values())

    @contextlib.contextmanager
    def changing_uids(self) -> Iterator[None]:
        """Store objects under new UIDs for the length of the block."""
        self.changes_uids = True
        try:
            yield
        finally:
            self.changes_uids = False

    def close(self) -> None:
        """Stop it."""
        self.link.close()
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        stored = of_file(event.encoded_dataset())
        uid = stored.sop_instance_uid
        with self._lock:
            if self.changes_uids:
                # The new UID is never requested: only the number of copies matters.
                self.copies.setdefault(uid, []).append(stored)
            elif self.kept.setdefault(uid, stored).content != stored.content:
                self.others.append(stored)
        return 0x0000

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        found = self.kept.get(str(query.SOPInstanceUID))
        if found is None or found.study_instance_uid != query.StudyInstanceUID:
            return
        answer = Dataset()
        answer.QueryRetrieveLevel = "IMAGE"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(answer, keyword, query[keyword].value)
        yield _PENDING, answer
