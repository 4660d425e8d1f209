"""Writes an arriving data set to a temporary PS3.10 file and hashes it."""

import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from dicom.errors import DicomError, LimitExceeded, OutOfResources
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom.parsing.byte_source import WINDOW
from dicom.spool.digest import new_hasher
from dicom.spool.durable import begin_writeback, release_reserve, reserve

_PIECES: Final = 512  # below IOV_MAX of every Linux
# Bytes between two calls of `begin_writeback`; for a smaller image it would not help.
_WRITEBACK: Final = 2 * 2**20
# Bytes for which disk blocks are allocated in advance, once a data set exceeds this size.
_RESERVE: Final = 2**20
_START: Final = bytes(128) + b"DICM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a C-STORE command and its presentation context state about the data set that follows.

    Attributes:
        source_ae: AE title of the sender; source application entity in the file meta information.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae: str


class Incoming:
    """An arriving data set and its temporary file.

    Writing never raises: an error is stored in `fault`, and further bytes are dropped. The sender gets
    the error's status in the response, after its last byte (PS3.7 9.3.1 allows no earlier response).

    Attributes:
        path: The temporary file; preamble and file meta group are written with the first bytes.
        announced: UIDs and sender, from the command.
        size: Bytes of the data set so far.
        fault: Why the data set cannot be stored, or None.
    """

    def __init__(
        self, path: Path, announced: Announced, *, max_bytes: int, fault: DicomError | None = None
    ) -> None:
        self.path = path
        self.announced = announced
        self.size = 0
        self._head = bytearray()
        self.fault = fault
        self._max_bytes = max_bytes
        self._begun = 0
        self._reserved = 0
        self._hash = new_hasher()
        self._meta = b""  # preamble and file meta group, until they are written
        self._descriptor: int | None = None
        if fault is None:
            self._open()

    def _open(self) -> None:
        self._meta = file_meta(self.announced)
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            # Locked while in use: recover() removes files that no process has locked.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            self.fail(out_of_resources(error))

    @property
    def head(self) -> bytes:
        """The first `WINDOW` bytes of the data set (all bytes if it is shorter).

        Its header is read from these without access to the disk.
        """
        return bytes(self._head)

    @property
    def digest(self) -> str:
        """Digest of the data set so far (`dicom.spool.digest`)."""
        return self._hash.hexdigest()

    def write(self, fragment: bytes | memoryview) -> None:
        """Append bytes of the data set."""
        self.write_all([fragment])

    def write_all(self, fragments: Sequence[bytes | memoryview]) -> None:
        """Append several fragments in order."""
        if self._descriptor is None or self.fault:
            return
        begins = self.size
        self.size += sum(map(len, fragments))
        if self.size > self._max_bytes:
            self.fail(LimitExceeded(f"the data set is larger than {self._max_bytes} bytes"))
            return
        if self.size > max(self._reserved, _RESERVE):
            self._reserve(self._descriptor)
        try:
            self._write_behind_meta(self._descriptor, fragments)
        except OSError as error:
            self.fail(out_of_resources(error))
            return
        self._take(fragments, begins)
        if self.size - self._begun >= _WRITEBACK:
            self._begin_writeback()

    def _write_behind_meta(self, descriptor: int, fragments: Sequence[bytes | memoryview]) -> None:
        if self._meta:
            fragments = [self._meta, *fragments]
            self._meta = b""
        _write_all(descriptor, fragments)

    def _reserve(self, descriptor: int) -> None:
        length = self.size - self._reserved + _RESERVE
        reserve(descriptor, self._reserved, length)
        self._reserved += length

    def _take(self, fragments: Sequence[bytes | memoryview], begins: int) -> None:
        """Hash fragments that start at byte `begins`, and copy the part that belongs to the head."""
        # Joined, because BLAKE3 works on blocks: pieces that end within a block take up to four times
        # as long.
        content = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        self._hash.update(content)
        if begins < WINDOW:
            self._head += content[: WINDOW - begins]

    def _begin_writeback(self) -> None:
        """Start writing to the disk, so that `sync` waits for fewer bytes."""
        if self._descriptor is not None:
            begin_writeback(self._descriptor, self._begun)
            self._begun = self.size

    def fail(self, fault: DicomError) -> None:
        """Remember the first fault and remove the file, to free disk space at once."""
        self.fault = self.fault or fault
        self.discard()

    def complete(self) -> None:
        """Ensure the file has a valid header even if the data set is empty."""
        if self._meta:
            self.write_all([])

    def sync(self) -> None:
        """Sync the file to stable storage.

        Raises:
            DicomError: `fault`, or OutOfResources if the disk reports an error; the file is removed.
        """
        self.complete()
        if self._descriptor is None:
            raise self.fault or OutOfResources("the temporary file no longer exists")
        try:
            if self._reserved:
                release_reserve(self._descriptor)
            os.fsync(self._descriptor)
        except OSError as error:
            self.fail(out_of_resources(error))
            raise self.fault or error from None

    def discard(self) -> None:
        """Remove the temporary file unless it was renamed; may be called repeatedly."""
        if self._descriptor is not None:
            # If the disk fails here, the next start removes the file (`Spool.recover`).
            with suppress(OSError):
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Close the file, after which `discard` does nothing; called once it has its final name."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # the content was synced before
                os.close(descriptor)


def file_meta(announced: Announced) -> bytes:
    """Return preamble, prefix and file meta group of a data set (PS3.10 7.1)."""
    before, after = _around_instance(
        announced.sop_class_uid, announced.transfer_syntax_uid, announced.source_ae
    )
    instance = _element(0x0003, b"UI", announced.sop_instance_uid.encode("ascii"))
    length = struct.pack("<L", len(before) + len(instance) + len(after))
    return _START + _element(0x0000, b"UL", length) + before + instance + after


@lru_cache(maxsize=256)
def _around_instance(class_uid: str, syntax_uid: str, source_ae: str) -> tuple[bytes, bytes]:
    """Return the elements before and after the SOP Instance UID; many Instances share them."""
    before = [
        _element(0x0001, b"OB", b"\x00\x01"),
        _element(0x0002, b"UI", class_uid.encode("ascii")),
    ]
    after = [
        _element(0x0010, b"UI", syntax_uid.encode("ascii")),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        _element(0x0016, b"AE", source_ae.encode("ascii")),
    ]
    return b"".join(before), b"".join(after)


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """Return one element of group 0002 in explicit VR little endian, padded to even length."""
    if len(value) % 2:
        value += b" " if vr in {b"SH", b"AE"} else b"\x00"
    long = b"\x00\x00" + struct.pack("<L", len(value)) if vr == b"OB" else b""
    return struct.pack("<HH2s", 2, number, vr) + (long or struct.pack("<H", len(value))) + value


def out_of_resources(error: OSError) -> OutOfResources:
    """Return the error for the sender if the disk fails; its message contains no path."""
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return OutOfResources(f"the spool cannot be written ({name})")


def _write_all(descriptor: int, fragments: Sequence[bytes | memoryview]) -> None:
    for start in range(0, len(fragments), _PIECES):
        pieces = fragments[start : start + _PIECES]
        written = os.writev(descriptor, pieces)
        if written == sum(map(len, pieces)):
            continue
        # A short write, e.g. on a nearly full disk: write the rest piece by piece.
        for piece in pieces:
            view = memoryview(piece)[written:]
            written = max(0, written - len(piece))
            while view:
                view = view[os.write(descriptor, view) :]
