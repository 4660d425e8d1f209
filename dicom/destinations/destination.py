"""The Destination interface, and what its implementations share.

The implementations are dicom/destinations/dimse.py, dicom/destinations/orthanc.py,
dicom/destinations/dicomweb.py and dicom/destinations/folder.py. All raise the same two kinds of errors:

    DestinationUnavailable   refused, timed out, 5xx, 0xA7xx, disk full: try again later
        DestinationSilent    no connection, or no complete answer in time
        NotListed            acknowledged objects are not there
    DestinationRejected      4xx, 0xA9xx, 0xCxxx, no presentation context: a person must act
        ObjectsRefused       only some of the objects; the others were sent

A message names the destination, its answer and what to do; never a patient attribute.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom.uid import UID

from dicom.destinations.archive_comparison import first_difference
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationUnavailable,
    NotListed,
    ObjectsRefused,
)
from dicom.identifiers import check_uid


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
