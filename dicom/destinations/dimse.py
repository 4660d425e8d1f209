"""The Destination interface, and a PACS as a Destination by C-STORE.

The other destinations are dicom/destinations/orthanc.py, dicom/destinations/dicomweb.py and
dicom/destinations/folder.py. All have the same methods and raise the same two kinds of errors:

    DestinationUnavailable   refused, timed out, 5xx, 0xA7xx, disk full: try again later
        DestinationSilent    no connection, or no complete answer in time
        NotListed            acknowledged objects are not there
    DestinationRejected      4xx, 0xA9xx, 0xCxxx, no presentation context: a person must act
        ObjectsRefused       only some of the objects; the others were sent

A message names the destination, its answer and what to do; never a patient attribute.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from pydicom.uid import UID, ImplicitVRLittleEndian

from dicom.destinations.archive_comparison import first_difference
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    DestinationUnavailable,
    InvalidDataset,
    NotListed,
    ObjectsRefused,
    is_transient,
)
from dicom.identifiers import check_uid
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedObject:
    """A SOP Instance that this program made, as a PS3.10 file.

    Attributes:
        sha256: Hex digest of the whole file.
    """

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    path: Path
    sha256: str

    def __post_init__(self) -> None:
        """Refuse UIDs that could not safely be part of a path or an address."""
        for uid in (self.sop_instance_uid, self.series_instance_uid, self.study_instance_uid):
            check_uid(uid)

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            DestinationRejected: The file is gone, or was changed after it was made.
            DestinationUnavailable: It cannot be read at this moment.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise DestinationRejected(
                f"{self.path}: the result was changed after it was made; read the study again"
            )
        return content

    @property
    def copy_limit(self) -> int:
        """The most bytes that a destination's copy may have: twice the size of the file plus 1 MiB.

        Raises:
            DestinationRejected: The file is gone.
            DestinationUnavailable: It cannot be read at this moment.
        """
        try:
            return 2 * self.path.stat().st_size + 2**20
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> DestinationError:
        sentence = f"{self.path}: the result cannot be read ({error.strerror})"
        if isinstance(error, FileNotFoundError):
            return DestinationRejected(f"{sentence}; read the study again")
        # Too many open files, a disk briefly unavailable: the result itself may be intact.
        return DestinationUnavailable(sentence)

    def difference(self, copy: bytes) -> str | None:
        """Return the first difference of a destination's copy, or None if it is this object.

        Raises:
            DestinationError: The copy is another file, and ours cannot be read to compare (`read`).
        """
        if hashlib.sha256(copy).hexdigest() == self.sha256:
            return None
        return first_difference(self.read(), copy)


class Destination(Protocol):
    """A place that results are sent to; thread-safe.

    Attributes:
        name: As in the settings, in events and on pages.
        reads_back: Whether `verify` looks for the objects there; otherwise the acknowledgment decides.
    """

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def reads_back(self) -> bool:
        """Whether `verify` looks for the objects there."""
        ...

    def send(self, objects: Sequence[EncodedObject]) -> None:
        """Send the objects; return once the destination has acknowledged, or holds, each of them.

        If it refuses one object, the others are sent nevertheless.

        Raises:
            DestinationUnavailable: Some may have arrived; send all again later.
            ObjectsRefused: It refuses some of them; the others were sent.
            DestinationRejected: It refuses all of them.
        """
        ...

    def held(self, objects: Sequence[EncodedObject]) -> frozenset[str]:
        """Return the SOP Instance UIDs of the objects that were found at the destination.

        Raises:
            DestinationUnavailable: It does not answer.
        """
        ...

    def verify(self, objects: Sequence[EncodedObject]) -> None:
        """Check that the destination holds each object.

        Raises:
            DestinationUnavailable: It does not answer, or does not have an object.
            DestinationRejected: It holds another object under one of the UIDs.
        """
        ...

    def probe(self) -> None:
        """Check that the destination can be reached and grants access; leave nothing changed there.

        Raises:
            DestinationUnavailable: It does not answer.
            DestinationRejected: It refuses access.
        """
        ...

    def probe_writing(self, contexts: Sequence[tuple[UID, UID]]) -> bool:
        """Check whether results may be stored; leave no object there.

        Args:
            contexts: (SOP Class UID, transfer syntax UID) pairs of the results that it will get.

        Returns:
            True if they may be stored, False if its answer does not show it.

        Raises:
            DestinationUnavailable: It does not answer.
            DestinationRejected: It does not let us store, or not all of them.
        """
        ...


class Refusals:
    """The objects of one delivery that a destination did not take."""

    def __init__(self) -> None:
        self._refused: dict[str, str] = {}
        self._passing: dict[str, DestinationUnavailable] = {}

    def add(self, item: EncodedObject, error: DestinationError) -> None:
        """Record why `item` was not taken."""
        uid = item.sop_instance_uid
        if isinstance(error, DestinationUnavailable):
            self._passing[uid] = error
        else:
            self._refused[uid] = f"{item.path.name}: {error}"

    def __contains__(self, item: EncodedObject) -> bool:
        """Return whether `item` was not taken."""
        return item.sop_instance_uid in self._refused or item.sop_instance_uid in self._passing

    def drop(self, uids: frozenset[str]) -> None:
        """Remove the objects that the destination holds nevertheless."""
        for uid in uids:
            self._refused.pop(uid, None)
            self._passing.pop(uid, None)

    def raise_any(self) -> None:
        """Raise an error unless every object was taken.

        Raises:
            DestinationUnavailable: Another try may succeed for at least one object.
            ObjectsRefused: Some objects were refused for good; the others were taken.
        """
        for error in self._passing.values():
            raise error
        if self._refused:
            raise ObjectsRefused("; ".join(self._refused.values()), frozenset(self._refused))


def held_by(
    verify: Callable[[EncodedObject], None], objects: Sequence[EncodedObject]
) -> frozenset[str]:
    """Return the SOP Instance UIDs of the objects for which `verify` raises nothing.

    Raises:
        DestinationUnavailable: The destination does not answer.
    """
    return frozenset(item.sop_instance_uid for item in objects if _is_held(verify, item))


def _is_held(verify: Callable[[EncodedObject], None], item: EncodedObject) -> bool:
    try:
        verify(item)
    except (NotListed, DestinationRejected):
        return False
    return True


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
        self._look_for(objects, refusals)
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

    def _look_for(self, objects: Sequence[EncodedObject], refusals: Refusals) -> None:
        """Drop refused objects that the PACS lists: it may refuse an object that it already holds."""
        failed = [item for item in objects if item in refusals]
        if not failed:
            return
        try:
            refusals.drop(self.held(failed))
        except DestinationError as error:
            _log.info("not_looked_for", destination=self.name, reason=str(error))

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
            _log.info("not_looked_for", destination=self.name, reason=str(error))
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
