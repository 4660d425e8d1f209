"""A PACS as a Destination by C-STORE, read back by C-FIND."""

import time
from collections.abc import Iterator, Sequence

import structlog
from pydicom.uid import UID, ImplicitVRLittleEndian

from dicom.destinations.destination import EncodedObject, Refusals
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    DestinationUnavailable,
    InvalidDataset,
    NotListed,
    is_transient,
)
from dicom.scu.association import Peer, associate
from dicom.scu.store_scu import (
    FIND_MODEL,
    Part10File,
    contexts_of,
    echo_peer,
    find_instance,
    is_stored,
    store,
)

_log = structlog.stdlib.get_logger(__name__)


class DimseDestination:
    """A PACS, by C-STORE; read back by C-FIND.

    C-FIND shows that the PACS lists the instance, not that it kept the same bytes: no DIMSE service
    that every PACS supports can show that.
    """

    def __init__(self, peer: Peer, *, verify: bool = True) -> None:
        self._peer = peer
        self._verify = verify

    @property
    def name(self) -> str:
        """Its name."""
        return self._peer.name

    @property
    def reads_back(self) -> bool:
        """Whether objects are found again by C-FIND."""
        return self._verify

    def send(self, objects: Sequence[EncodedObject]) -> None:
        """Store each object; one that is refused although the PACS lists it counts as stored.

        All go over one association. If the PACS ends it at an object, the rest go over another.
        """
        for item in objects:  # a missing or changed file is found before anything is sent
            item.read()
        refusals = Refusals()
        remaining = list(zip((_part10_file(item) for item in objects), objects, strict=True))
        while remaining:
            remaining = remaining[self._send_some(remaining, refusals) :]
        self._drop_listed(objects, refusals)
        refusals.raise_any()

    def _send_some(
        self, pairs: Sequence[tuple[Part10File, EncodedObject]], refusals: Refusals
    ) -> int:
        """Send objects over one association; return how many were answered or ended it.

        Raises:
            DestinationSilent: There was no association, or no answer in time.
        """
        with associate(self._peer, contexts_of(file for file, _ in pairs)) as association:
            for number, (file, item) in enumerate(pairs, 1):
                begun = time.monotonic()
                try:
                    self._judge(store(association, self._peer, file), item)
                except DestinationSilent as error:
                    if time.monotonic() - begun >= self._peer.timeout / 2:
                        raise
                    # Too early for a timeout: the PACS ended the association because of this object,
                    # and may take the others.
                    refusals.add(item, DestinationUnavailable(str(error)))
                    return number
                except DestinationError as error:
                    refusals.add(item, error)
        return len(pairs)

    def _drop_listed(self, objects: Sequence[EncodedObject], refusals: Refusals) -> None:
        """Drop refused objects that the PACS lists: it may refuse an object that it already holds."""
        failed = [item for item in objects if item in refusals]
        if not failed:
            return
        try:
            refusals.drop(self.held(failed))
        except DestinationError as error:
            _log.info("lookup_failed", destination=self.name, reason=str(error))

    def _judge(self, status: int, item: EncodedObject) -> None:
        if is_stored(status):
            if status:
                _log.warning(
                    "stored_with_warning",
                    destination=self.name,
                    status=f"0x{status:04X}",
                    sop_instance_uid=item.sop_instance_uid,
                )
            return
        answer = f"{self._peer} answered {item.path.name} with status 0x{status:04X}"
        if is_transient(status):
            raise DestinationUnavailable(f"{answer} (it cannot store it now)")
        raise DestinationRejected(f"{answer}: see its log for why it refuses the object")

    def verify(self, objects: Sequence[EncodedObject]) -> None:
        """Find each object by C-FIND at the IMAGE level, unless that is disabled."""
        if not self._verify:
            return
        found = self._found(objects)
        missing = [item.sop_instance_uid for item in objects if item.sop_instance_uid not in found]
        if missing:
            raise NotListed(
                f"{self._peer} acknowledged {missing[0]} but does not list it "
                f"({len(missing)} of {len(objects)} objects missing)"
            )

    def held(self, objects: Sequence[EncodedObject]) -> frozenset[str]:
        """Return the SOP Instance UIDs of the objects that the PACS lists; none if it refuses C-FIND."""
        try:
            return self._found(objects)
        except DestinationRejected as error:
            _log.info("lookup_failed", destination=self.name, reason=str(error))
            return frozenset()

    def _found(self, objects: Sequence[EncodedObject]) -> frozenset[str]:
        return frozenset(self._find(objects)) if objects else frozenset()

    def _find(self, objects: Sequence[EncodedObject]) -> Iterator[str]:
        with associate(self._peer, [(FIND_MODEL, ImplicitVRLittleEndian)]) as association:
            if not association.accepted_contexts:
                raise self._no_find()
            for item in objects:
                if find_instance(
                    association,
                    self._peer,
                    study=item.study_instance_uid,
                    series=item.series_instance_uid,
                    sop=item.sop_instance_uid,
                ):
                    yield item.sop_instance_uid

    def probe(self) -> None:
        """Send a C-ECHO."""
        echo_peer(self._peer)

    def probe_writing(self, contexts: Sequence[tuple[UID, UID]]) -> bool:
        """Negotiate an association for the results, and for C-FIND where they are read back."""
        find = [(FIND_MODEL, ImplicitVRLittleEndian)] if self._verify else []
        if not contexts and not find:
            return True
        with associate(self._peer, [*contexts, *find]) as association:
            accepted = {each.abstract_syntax for each in association.accepted_contexts}
        classes = dict.fromkeys(sop_class for sop_class, _ in contexts)
        refused = [sop_class.name for sop_class in classes if sop_class not in accepted]
        if refused:
            raise DestinationRejected(
                f"{self._peer} does not accept from {self._peer.calling}: {', '.join(refused)}. Allow "
                "them there, or name only the others in `objects` of this destination"
            )
        if self._verify and FIND_MODEL not in accepted:
            raise self._no_find()
        return True

    def _no_find(self) -> DestinationRejected:
        return DestinationRejected(
            f"{self._peer} does not accept C-FIND from {self._peer.calling}: allow it there, "
            "or set verify = false for this destination"
        )


def _part10_file(item: EncodedObject) -> Part10File:
    try:
        return Part10File.read(item.path)
    except InvalidDataset as error:
        raise DestinationRejected(str(error)) from error
