"""A data set on its way to the disk: its bytes go to a temporary PS3.10 file and are hashed."""

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
from dicom.spool.digest import film_digest
from dicom.spool.durable import begin_writeback, release_reserve, reserve

_PIECES: Final = 512  # below IOV_MAX of every Linux
# A small film is on the disk before this would help.
_WRITEBACK: Final = 2 * 2**20
# Bytes for which blocks are asked at once, of a film that has grown as large already.
_RESERVE: Final = 2**20
_START: Final = bytes(128) + b"DICM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the C-STORE command and its presentation context say of the data set that follows."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae: str


class Incoming:
    """A data set on its way to the disk.

    Writing never raises: what went wrong is kept in `fault`, further bytes are dropped, and the sender
    learns of it in the response, after it sent the last of them (PS3.7 9.3.1 has no earlier place).

    Attributes:
        path: The temporary file; preamble and file meta group are written with the first bytes.
        size: Bytes of the data set so far.
        fault: Why the data set cannot be kept.
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
        self._hash = film_digest()
        self._meta = b""  # what is still to be written before the first bytes
        self._descriptor: int | None = None
        if fault is None:
            self._open()

    def _open(self) -> None:
        self._meta = file_meta(self.announced)
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            # Held as long as we live: recover() takes what nobody holds for a leftover.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            self.fail(out_of_resources(error))

    @property
    def head(self) -> bytes:
        """Its first `WINDOW` bytes: what a header is read from without asking the disk.

        All of them while `size` is no more.
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
        """Append the bytes of several fragments in their order."""
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
        """Hash bytes, and keep those that belong to the head; they begin at `begins`."""
        # At once: BLAKE3 works on blocks, and pieces that end within one cost up to four times as much.
        content = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        self._hash.update(content)
        if begins < WINDOW:
            self._head += content[: WINDOW - begins]

    def _begin_writeback(self) -> None:
        """Let the disk begin: what it has written by then need not be waited for in `sync`."""
        if self._descriptor is not None:
            begin_writeback(self._descriptor, self._begun)
            self._begun = self.size

    def fail(self, fault: DicomError) -> None:
        """Give the disk space back at once and remember why."""
        self.fault = self.fault or fault
        self.discard()

    def complete(self) -> None:
        """Have the file be one that can be read, also where no byte of a data set came."""
        if self._meta:
            self.write_all([])

    def sync(self) -> None:
        """Return once the file is on stable storage.

        Raises:
            OutOfResources: The disk refused; nothing is left of the file.
        """
        self.complete()
        if self._descriptor is None:
            raise self.fault or OutOfResources("the temporary file is gone")
        try:
            if self._reserved:
                release_reserve(self._descriptor)
            os.fsync(self._descriptor)
        except OSError as error:
            self.fail(out_of_resources(error))
            raise self.fault or error from None

    def discard(self) -> None:
        """Remove the temporary file, unless it was given its final name; may be called again."""
        if self._descriptor is not None:
            # What a failing disk keeps is a leftover, which the next start removes.
            with suppress(OSError):
                self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let go of the file, which has its final name now."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # what counts was synced
                os.close(descriptor)


def file_meta(announced: Announced) -> bytes:
    """Return preamble, prefix and file meta group for a data set that follows (PS3.10 7.1)."""
    before, after = _around_instance(
        announced.sop_class_uid, announced.transfer_syntax_uid, announced.source_ae
    )
    instance = _element(0x0003, b"UI", announced.sop_instance_uid.encode("ascii"))
    length = struct.pack("<L", len(before) + len(instance) + len(after))
    return _START + _element(0x0000, b"UL", length) + before + instance + after


@lru_cache(maxsize=256)
def _around_instance(class_uid: str, syntax_uid: str, source_ae: str) -> tuple[bytes, bytes]:
    """Return the elements before and after that of the SOP Instance UID: alike in many films."""
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
    """Return what the sender hears of an error of the disk, in words without a path."""
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return OutOfResources(f"the spool cannot be written ({name})")


def _write_all(descriptor: int, fragments: Sequence[bytes | memoryview]) -> None:
    for start in range(0, len(fragments), _PIECES):
        pieces = fragments[start : start + _PIECES]
        written = os.writev(descriptor, pieces)
        if written == sum(map(len, pieces)):
            continue
        for piece in pieces:
            view = memoryview(piece)[written:]
            written = max(0, written - len(piece))
            while view:
                view = view[os.write(descriptor, view) :]
