"""The SCU: C-ECHO, C-STORE of PS3.10 files, C-FIND of one Instance.

Data sets are sent byte for byte in the transfer syntax of their file. An uncompressed data set is
encoded again only if the peer accepts nothing but Implicit VR Little Endian.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.association import Association

from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    DestinationUnavailable,
    InvalidDataset,
)
from dicom.identifiers import check_uid
from dicom.pynetdicom_private import send_files_as_they_are
from dicom.scu.association import Peer, associate, established

send_files_as_they_are()

VERIFICATION: Final = UID("1.2.840.10008.1.1")
# Study Root Query/Retrieve Information Model - FIND (PS3.4 C.6.2)
FIND_MODEL: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")
_MAX_CONTEXTS: Final = (
    128  # presentation context IDs are the odd numbers of one byte (PS3.8 9.3.2.2)
)
_PENDING: Final = (0xFF00, 0xFF01)
# A peer that ignores the matching keys might list its whole archive.
_MOST_FOUND: Final = 100
_CONVERTIBLE: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
)
# Errors that pydicom raises for files and data sets that it cannot read or write.
UNREADABLE: Final = (
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOutcome:
    """The result for one file.

    Attributes:
        path: The file.
        status: Status of the C-STORE response (PS3.4 B.2.3); None if there was no response.
        error: An error message; "" if the file was stored.
    """

    path: Path
    status: int | None
    error: str

    @property
    def stored(self) -> bool:
        """Whether the peer has stored the file."""
        return not self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Part10File:
    """A PS3.10 file as its file meta information describes it."""

    path: Path
    sop_class_uid: UID
    transfer_syntax_uid: UID

    @classmethod
    def read(cls, path: Path) -> "Part10File":
        """Return what the file meta information of `path` says.

        Raises:
            InvalidDataset: `path` is not a PS3.10 file, or cannot be read.
        """
        try:
            meta = read_file_meta_info(path)
            check_uid(meta.MediaStorageSOPInstanceUID)
            sop_class = check_uid(meta.MediaStorageSOPClassUID)
            syntax = check_uid(meta.TransferSyntaxUID)
        except (*UNREADABLE, InvalidDataset) as error:
            kind = type(error).__name__
            raise InvalidDataset(f"{path}: not a DICOM file that can be sent ({kind})") from error
        return cls(path=path, sop_class_uid=UID(sop_class), transfer_syntax_uid=UID(syntax))

    def contexts(self) -> list[tuple[UID, UID]]:
        """Return the (abstract syntax, transfer syntax) pairs to propose for the file.

        An SCU must also propose the default transfer syntax unless the pixels are compressed (PS3.5
        10.1). A file in the retired Big Endian syntax is proposed only as it is: otherwise its pixels
        would have to be swapped.
        """
        own = (self.sop_class_uid, self.transfer_syntax_uid)
        if self.transfer_syntax_uid not in _CONVERTIBLE:
            return [own]
        return list(dict.fromkeys([own, (self.sop_class_uid, ImplicitVRLittleEndian)]))


def echo(host: str, port: int, *, calling: str, called: str, timeout: float = 10.0) -> None:
    """Send a C-ECHO to `called` and return after Success.

    Raises:
        DestinationUnavailable: The peer did not answer in time.
        DestinationRejected: The peer rejected the association or the C-ECHO.
    """
    echo_peer(Peer(host=host, port=port, called=called, calling=calling, timeout=timeout))


def echo_peer(peer: Peer) -> None:
    """Send a C-ECHO to `peer` and return after Success; raise the errors of `echo`."""
    with associate(peer, [(VERIFICATION, ImplicitVRLittleEndian)]) as association:
        if not association.accepted_contexts:
            raise DestinationRejected(f"{peer} does not accept C-ECHO from {peer.calling}")
        with established(association, peer):
            status = _status(association.send_c_echo(), peer)
        if status != 0x0000:
            raise DestinationRejected(f"{peer} answered C-ECHO with status 0x{status:04X}")


def send_files(
    paths: Iterable[Path],
    *,
    host: str,
    port: int,
    calling: str,
    called: str,
    timeout: float = 30.0,
    progress: Callable[[StoreOutcome], None] | None = None,
) -> list[StoreOutcome]:
    """Send PS3.10 files over one association, or more if they need more than 128 contexts.

    Args:
        paths: Files; a file that is not DICOM gets an outcome, too.
        host: Host name or IP address of the receiver.
        port: TCP port of the receiver.
        calling: Our AE title.
        called: AE title of the receiver.
        timeout: Seconds for each exchange.
        progress: Called after each file, in this thread.

    Returns:
        One outcome for each file, first those of files that are not DICOM.

    Raises:
        DestinationUnavailable: No association could be established.
        DestinationRejected: The association was rejected.
    """
    peer = Peer(host=host, port=port, called=called, calling=calling, timeout=timeout)
    outcomes = []
    for outcome in _outcomes(peer, list(paths)):
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome)
    return outcomes


def _outcomes(peer: Peer, paths: Sequence[Path]) -> Iterator[StoreOutcome]:
    files = []
    for path in paths:
        try:
            files.append(Part10File.read(path))
        except InvalidDataset as error:
            yield StoreOutcome(path=path, status=None, error=str(error))
    for batch in _batches(files):
        with associate(peer, contexts_of(batch)) as association:
            for file in batch:
                yield _outcome(association, peer, file)


def _outcome(association: Association, peer: Peer, file: Part10File) -> StoreOutcome:
    try:
        status = store(association, peer, file)
    except DestinationError as error:
        return StoreOutcome(path=file.path, status=None, error=str(error))
    error_text = "" if is_stored(status) else f"{peer} answered {file.path} with 0x{status:04X}"
    return StoreOutcome(path=file.path, status=status, error=error_text)


def contexts_of(files: Iterable[Part10File]) -> list[tuple[UID, UID]]:
    """Return the presentation contexts to propose for `files`, each pair once."""
    return list(dict.fromkeys(pair for file in files for pair in file.contexts()))


def _batches(files: Sequence[Part10File]) -> Iterator[list[Part10File]]:
    batch: list[Part10File] = []
    for file in files:
        if len(contexts_of([*batch, file])) > _MAX_CONTEXTS:
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def is_stored(status: int) -> bool:
    """Return whether a C-STORE status means that the peer has the Instance.

    It does for Success, for the warnings of the Storage Service, which store the Instance (0xB000
    coercion, 0xB006 elements discarded, 0xB007 data set does not match SOP class; PS3.4 B.2.3), and for
    0x0111, duplicate SOP Instance (PS3.7 C).
    """
    return status in (0x0000, 0x0111) or status & 0xF000 == 0xB000


def store(association: Association, peer: Peer, file: Part10File) -> int:
    """Send one file and return the status of the C-STORE response.

    Raises:
        DestinationRejected: No presentation context for it was accepted, or it cannot be encoded.
        DestinationSilent: There was no complete response, or the association has ended.
        DestinationUnavailable: The file cannot be read now.
    """
    accepted = {(cx.abstract_syntax, cx.transfer_syntax[0]) for cx in association.accepted_contexts}
    usable = [pair for pair in file.contexts() if pair in accepted]
    if not usable:
        raise DestinationRejected(
            f"{peer} accepts no presentation context for {file.sop_class_uid.name} in "
            f"{file.transfer_syntax_uid.name}: allow this SOP class from {peer.calling} there"
        )
    own = usable[0][1] == file.transfer_syntax_uid  # `contexts` lists the file's own syntax first
    try:
        with established(association, peer):
            response = association.send_c_store(file.path if own else dcmread(file.path))
    except OSError as error:
        raise DestinationUnavailable(
            f"{file.path} cannot be read now ({error.strerror})"
        ) from error
    except UNREADABLE as error:
        kind = type(error).__name__
        raise DestinationRejected(f"{file.path} cannot be encoded for {peer} ({kind})") from error
    return _status(response, peer)


def find_instance(
    association: Association, peer: Peer, *, study: str, series: str, sop: str
) -> bool:
    """Return whether a C-FIND at the IMAGE level finds the Instance (PS3.4 C.6.2).

    Raises:
        DestinationUnavailable: There was no response, or a failure status.
        DestinationRejected: The peer refused the identifier (0xA9xx), or ignored the matching keys.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID = study
    query.SeriesInstanceUID = series
    query.SOPInstanceUID = sop
    with established(association, peer):
        answers = islice(association.send_c_find(query, FIND_MODEL), _MOST_FOUND + 1)
        listed = [_is_listed(sop, answer, peer) for answer in answers]
    if len(listed) > _MOST_FOUND:
        raise DestinationRejected(
            f"{peer} answers C-FIND of one instance with more than {_MOST_FOUND}: it ignores the "
            "UIDs; set verify = false for this destination"
        )
    return any(listed)


def _is_listed(sop: str, answer: tuple[Dataset, Dataset | None], peer: Peer) -> bool:
    """Return whether a C-FIND response lists the Instance; False if its identifier cannot be read."""
    response, identifier = answer
    status = _status(response, peer)
    if status == 0x0000:
        return False
    if status not in _PENDING:
        kind = DestinationRejected if status & 0xFF00 == 0xA900 else DestinationUnavailable
        raise kind(f"{peer} answered C-FIND with status 0x{status:04X}")
    try:
        return identifier is not None and identifier.get("SOPInstanceUID") == sop
    except UNREADABLE:
        return False


def _status(response: Dataset, peer: Peer) -> int:
    if "Status" not in response:
        raise DestinationSilent(
            f"{peer} gave no answer within {peer.timeout:g} s or ended the association"
        )
    return int(response.Status)
