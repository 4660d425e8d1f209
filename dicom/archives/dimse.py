"""A PACS as an Archive by DIMSE: listed by C-FIND, fetched by C-GET or C-MOVE (PS3.4 C.4)."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import build_role, evt
from pynetdicom.association import Association

from dicom.archives.archive import (
    MOST_INSTANCES,
    HeldInstance,
    Listing,
    Take,
    Window,
    date_range,
    held,
)
from dicom.errors import DestinationRejected, DestinationUnavailable
from dicom.scp.presentation_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES
from dicom.scu.association import Peer, associate, established
from dicom.scu.store_scu import FIND_MODEL, UNREADABLE

Retrieval = Literal["get", "move"]

# Study Root Query/Retrieve Information Model - GET and - MOVE (PS3.4 C.6.2)
_GET_MODEL: Final = UID("1.2.840.10008.5.1.4.1.2.2.3")
_MOVE_MODEL: Final = UID("1.2.840.10008.5.1.4.1.2.2.2")
_PENDING: Final = (0xFF00, 0xFF01)
_SUCCESS: Final = 0x0000
_OUT_OF_RESOURCES: Final = 0xA700
_CANNOT_UNDERSTAND: Final = 0xC000
# Some sub-operations failed: those Instances stay missing (PS3.4 C.4.2.1.5, C.4.3.1.4).
_INCOMPLETE: Final = 0xB000


class DimseArchive:
    """A PACS by C-FIND at Study Root, and C-GET or C-MOVE.

    A query has no key for the time of reception, so Study Date is used, in whole days.
    """

    def __init__(
        self, peer: Peer, *, retrieval: Retrieval = "get", storage_classes: Sequence[str] = ()
    ) -> None:
        """Take the peer, the retrieval service, and the SOP Classes besides `STORAGE_CLASSES`."""
        self._peer = peer
        self._retrieval = retrieval
        self._classes = tuple(dict.fromkeys([*STORAGE_CLASSES, *map(UID, storage_classes)]))

    @property
    def name(self) -> str:
        """Its name."""
        return self._peer.name

    def listing(self, window: Window) -> Listing:
        """Return the Instances of the Studies whose Study Date is in the window."""
        instances: list[HeldInstance] = []
        counts: dict[str, int] = {}
        with associate(self._peer, [(FIND_MODEL, ImplicitVRLittleEndian)]) as association:
            self._check_accepted(association, "C-FIND")
            for study, number in self._studies(association, window).items():
                counts[study] = number
                if number and window.is_settled(study, number):
                    continue
                instances += self._instances(association, study, window.modalities)
        return Listing(instances=instances, counts=counts)

    def _studies(self, association: Association, window: Window) -> dict[str, int]:
        found: dict[str, int] = {}
        for modality in window.modalities:
            query = _query(
                "STUDY",
                StudyInstanceUID="",
                StudyDate=date_range(window.since),
                ModalitiesInStudy=modality,
                NumberOfStudyRelatedInstances="",
            )
            for answer in self._find(association, query):
                # A PACS may ignore Modalities in Study (PS3.4 C.3.4), so Modality is checked by Series.
                number = answer["NumberOfStudyRelatedInstances"]
                found[answer["StudyInstanceUID"]] = int(number) if number.isdecimal() else 0
        found.pop("", None)
        return found

    def _instances(
        self, association: Association, study: str, modalities: Sequence[str]
    ) -> Iterator[HeldInstance]:
        asked = {"StudyInstanceUID": study, "SeriesInstanceUID": "", "Modality": ""}
        # Read all responses before the next query on this association.
        for series in list(self._find(association, _query("SERIES", **asked))):
            if series["Modality"] not in modalities:
                continue
            uid = series["SeriesInstanceUID"]
            asked = {"StudyInstanceUID": study, "SeriesInstanceUID": uid}
            query = _query("IMAGE", **asked, SOPInstanceUID="", SOPClassUID="")
            for each in self._find(association, query):
                found = held(study, uid, each["SOPInstanceUID"], each["SOPClassUID"])
                if found is not None:
                    yield found

    def _find(self, association: Association, query: Dataset) -> Iterator[dict[str, str]]:
        """Yield the values of the query's keywords in each match."""
        with established(association, self._peer):
            answers = association.send_c_find(query, FIND_MODEL)
        for number, (response, identifier) in enumerate(answers):
            status = self._status(response, "C-FIND")
            if status == _SUCCESS:
                return
            if number > MOST_INSTANCES:
                raise DestinationRejected(
                    f"{self._peer} answers C-FIND with more than {MOST_INSTANCES} matches"
                )
            values = _values(identifier, query)
            if values is not None:
                yield values

    def fetch(self, instances: Sequence[HeldInstance], take: Take) -> None:
        """Retrieve each Instance: by C-GET on this association, or by C-MOVE to our storage SCP."""
        if self._retrieval == "move":
            self._move(instances)
        else:
            self._get(instances, take)

    def _move(self, instances: Sequence[HeldInstance]) -> None:
        with associate(self._peer, [(_MOVE_MODEL, ImplicitVRLittleEndian)]) as association:
            self._check_accepted(association, "C-MOVE")
            for query in _identifiers(instances):
                with established(association, self._peer):
                    answers = association.send_c_move(query, self._peer.calling, _MOVE_MODEL)
                self._await("C-MOVE", answers)

    def _get(self, instances: Sequence[HeldInstance], take: Take) -> None:
        requested = {each.sop_instance_uid: each for each in instances}

        def store(event: evt.Event) -> int:
            uid = getattr(event.request, "AffectedSOPInstanceUID", "")
            instance = requested.get(str(uid))
            if instance is None:
                return _CANNOT_UNDERSTAND
            stored = take(instance, [event.encoded_dataset()])
            return _SUCCESS if stored else _OUT_OF_RESOURCES

        contexts = [(_GET_MODEL, ImplicitVRLittleEndian), *self._storage_contexts(instances)]
        roles = [build_role(each, scp_role=True) for each in {uid for uid, _ in contexts[1:]}]
        handlers = [(evt.EVT_C_STORE, store)]
        with associate(self._peer, contexts, roles, handlers) as association:
            self._check_accepted(association, "C-GET")
            for query in _identifiers(instances):
                with established(association, self._peer):
                    answers = association.send_c_get(query, _GET_MODEL)
                self._await("C-GET", answers)

    def _storage_contexts(self, instances: Sequence[HeldInstance]) -> list[tuple[UID, UID]]:
        """Return the contexts of the SOP Classes to fetch; of all classes if one is not known."""
        named = {each.sop_class_uid for each in instances}
        classes = [each for each in self._classes if "" in named or each in named]
        pairs = [(each, syntax) for syntax in TRANSFER_SYNTAXES for each in classes]
        return pairs[:127]  # of at most 128, one is for the retrieval (PS3.8 9.3.2.2)

    def _await(self, service: str, answers: Iterator[tuple[Dataset, Dataset | None]]) -> None:
        """Wait for the last response; Instances whose transfer failed stay missing."""
        for response, _ in answers:
            self._status(response, service)

    def _check_accepted(self, association: Association, service: str) -> None:
        models = {FIND_MODEL, _GET_MODEL, _MOVE_MODEL}
        if not any(each.abstract_syntax in models for each in association.accepted_contexts):
            raise DestinationRejected(
                f"{self._peer} does not accept {service} from {self._peer.calling}: allow it there"
            )

    def _status(self, response: Dataset, service: str) -> int:
        """Return the status of a response.

        Raises:
            DestinationUnavailable: The status is a failure, or there was no response.
        """
        if "Status" not in response:
            raise DestinationUnavailable(
                f"{self._peer} gave no answer to {service} within {self._peer.timeout:g} s or ended "
                "the association"
            )
        status = int(response.Status)
        if status not in (*_PENDING, _SUCCESS, _INCOMPLETE):
            advice = (
                f"; check that {self._peer.calling} is configured there"
                if service == "C-MOVE"
                else ""
            )
            raise DestinationUnavailable(
                f"{self._peer} answered {service} with status 0x{status:04X}{advice}"
            )
        return status


def _query(level: str, **keys: str | list[str]) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _values(identifier: Dataset | None, query: Dataset) -> dict[str, str] | None:
    """Return the text of each keyword of `query` in a match, or None if it cannot be read."""
    try:
        keywords = [element.keyword for element in query]
        match = identifier or Dataset()
        return {each: str(match.get(each) or "") for each in keywords}
    except UNREADABLE:
        return None


def _identifiers(instances: Sequence[HeldInstance]) -> Iterator[Dataset]:
    """Yield one retrieval identifier for each Series, with the UIDs of its Instances."""
    for uid in sorted({each.series_instance_uid for each in instances}):
        yield _query(
            "IMAGE",
            StudyInstanceUID=instances[0].study_instance_uid,
            SeriesInstanceUID=uid,
            SOPInstanceUID=[
                each.sop_instance_uid for each in instances if each.series_instance_uid == uid
            ],
        )
