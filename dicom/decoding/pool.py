"""Decoding of images in child processes, so that an image can crash only its own decoder.

`Decoders.examine` returns what `dicom.selection.image_selection.examine` does, `Decoders.levels` the
levels of an image for a viewer. If a child dies or does
not answer in time, only its image is affected: the next child is ready. `dicom.decoding.child` is the
other side.
"""

import contextlib
import fcntl
import json
import math
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import numpy as np

from dicom.decoding.child import PACKET
from dicom.decoding.exit_status import ExitStatus, exit_status_of, timed_out
from dicom.errors import (
    DecoderDied,
    DecodersBusy,
    DicomError,
    InvalidDataset,
    InvalidIdentifier,
    LimitExceeded,
    MissingAttribute,
    PixelError,
)
from dicom.pixels.frame import Frame, PixelLimits
from dicom.reasons import Reason
from dicom.selection.image_selection import Examined
from dicom.selection.plausibility import Plausibility
from dicom.spool.levels_file import read_index

_Answer = TypeVar("_Answer", Examined, bytes)
_Reading = Callable[[dict[str, Any], Sequence[int]], _Answer]

PROGRAM: Final = (sys.executable, "-m", "dicom.decoding.child")
_TRIES: Final = 2
# Three times the measured need of images of 16 million pixels (uncompressed, RLE, JPEG-LS, JPEG 2000).
_BYTES_A_PIXEL: Final = 24
_BYTES_AT_LEAST: Final = 512 * 2**20
_START_SECONDS: Final = 120.0  # until a child takes a request, on a busy machine
_ENDING_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 1.0  # how long `examine` waits for a free decoder
_STATUSES: Final = 64
_SEALED: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE
# The decoders' numeric libraries need no threads, whose stacks would count towards the memory limit.
_ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_ERRORS: Final[dict[str, type[DicomError]]] = {
    kind.__name__: kind
    for kind in (InvalidDataset, InvalidIdentifier, LimitExceeded, MissingAttribute, PixelError)
}


class Decoders:
    """A pool of child processes that decode images; thread-safe."""

    def __init__(
        self, *, at_once: int, seconds: float, max_pixels: int, program: Sequence[str] = PROGRAM
    ) -> None:
        """Start the processes without waiting for them; they are ready about a second later.

        Args:
            at_once: Number of images decoded at the same time.
            seconds: Time limit of one image, both of wall-clock and of processor time.
            max_pixels: Pixels of the largest image; the memory limit of the children follows from it.
            program: The command that runs `dicom.decoding.child.main`.

        Raises:
            OSError: No process can be started.
        """
        self._seconds = seconds
        self._program = tuple(program)
        self._bounds = {
            "children": at_once + 1,  # a spare one is ready while another exits
            "memory": _BYTES_AT_LEAST + _BYTES_A_PIXEL * max_pixels,
            "seconds": math.ceil(seconds),
        }
        self._free = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._parent = _Parent(self._program, self._bounds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def examine(self, path: Path, limits: PixelLimits) -> Examined:
        """Return what `dicom.selection.image_selection.examine` returns; the pixels are read-only.

        Raises:
            DicomError, OSError: As `dicom.selection.image_selection.examine`; and
            DecoderDied: The image crashed two children.
            DecodersBusy: No decoder was free within a second; a longer wait would look like a hang.
            DecoderSlow: The child exceeded its limit of wall-clock or processor time.
            OutOfResources: It was killed from outside, or no child took the request.
        """
        return self._answer(_request(path, limits, levels=False), _examined)

    def levels(self, path: Path, limits: PixelLimits) -> bytes:
        """Return the content of the image's file of levels (`dicom.spool.levels_file`), checked.

        Raises:
            DicomError, OSError: As `examine`.
        """
        return self._answer(_request(path, limits, levels=True), _packed_levels)

    def _answer(self, request: bytes, read: _Reading[_Answer]) -> _Answer:
        if not self._free.acquire(timeout=_WAIT_SECONDS):
            raise DecodersBusy("all decoders are busy")
        try:
            return self._answer_with_retry(request, read)
        finally:
            self._free.release()

    def _answer_with_retry(self, request: bytes, read: _Reading[_Answer]) -> _Answer:
        ended = ExitStatus("", crashed=False)
        for _ in range(_TRIES):
            answered = self._attempt(request, read)
            if not isinstance(answered, ExitStatus):
                return answered
            ended = answered
            if not ended.crashed:
                raise ended.error(f"the image was not decoded: {ended.message}")
        raise DecoderDied(f"its image crashed the decoder {_TRIES} times ({ended.message})")

    def wait_until_ready(self) -> None:
        """Wait until a child answers, so that an image would be decoded without delay.

        Raises:
            OutOfResources: The children do not start, or die.
        """
        nothing = PixelLimits(max_pixels=1, max_bytes=1)
        with contextlib.suppress(InvalidDataset, OSError):
            self.examine(Path(os.devnull), nothing)

    def close(self) -> None:
        """Kill the processes; images in progress are not finished."""
        self._parent.close()

    def _attempt(self, request: bytes, read: _Reading[_Answer]) -> _Answer | ExitStatus:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                parent = self._living_parent()
                parent.send(request, theirs)
            return self._receive(parent, ours, read)

    def _living_parent(self) -> "_Parent":
        with self._lock:
            if not self._parent.lives():
                self._parent.close()
                self._parent = _Parent(self._program, self._bounds)
            return self._parent

    def _receive(
        self, parent: "_Parent", answers: socket.socket, read: _Reading[_Answer]
    ) -> _Answer | ExitStatus:
        """Return the answer of the child that took the request."""
        pid = _taken_up(answers)
        if pid is None:
            return ExitStatus("the decoders have ended or do not start", crashed=False)
        answers.settimeout(self._seconds)
        try:
            packet, descriptors, _, _ = socket.recv_fds(answers, PACKET, 1)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return timed_out(self._seconds)
        except OSError:
            packet, descriptors = b"", []
        with _closing(descriptors):
            if packet:
                answer = json.loads(packet)
                _raise_error(answer)
                return read(answer, descriptors)
        return exit_status_of(parent.status(pid), self._seconds)


class _Parent:
    """The parent process of the children that decode."""

    def __init__(self, program: Sequence[str], bounds: dict[str, Any]) -> None:
        self._requests, requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._endings, endings = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._endings.settimeout(_ENDING_SECONDS)
        self._statuses: dict[int, int] = {}
        self._lock = threading.Lock()
        with requests, endings:
            numbers = (requests.fileno(), endings.fileno())
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*program, *map(str, numbers), json.dumps(bounds)],
                cwd=Path(__file__).parents[2],
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=numbers,
            )

    def lives(self) -> bool:
        return self._process.poll() is None

    def send(self, packet: bytes, answers: socket.socket) -> None:
        """Send a request; a failure closes the socket of the answer, as the end of a child does."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._requests, [packet], [answers.fileno()])

    def status(self, pid: int) -> int | None:
        """Return the wait status of a child, or None if the parent does not report it in time."""
        with self._lock:
            while pid not in self._statuses:
                try:
                    report = self._endings.recv(PACKET)
                except OSError:
                    return None
                if not report:
                    return None
                ending = json.loads(report)
                self._statuses[ending["pid"]] = ending["status"]
                while len(self._statuses) > _STATUSES:  # drop statuses that were never requested
                    del self._statuses[next(iter(self._statuses))]
            return self._statuses.pop(pid)

    def close(self) -> None:
        self._requests.close()
        self._endings.close()
        self._process.kill()  # the kernel then ends its children
        self._process.wait()


def _taken_up(answers: socket.socket) -> int | None:
    """Return the process id of the child that took a request, or None if none does in time."""
    answers.settimeout(_START_SECONDS)
    try:
        packet = answers.recv(PACKET)
    except OSError:
        return None
    return int(json.loads(packet)["pid"]) if packet else None


@contextlib.contextmanager
def _closing(descriptors: Sequence[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _request(path: Path, limits: PixelLimits, *, levels: bool) -> bytes:
    request = {
        "path": str(path.absolute()),
        "max_pixels": limits.max_pixels,
        "max_bytes": limits.max_bytes,
        "levels": levels,
    }
    return json.dumps(request).encode()


def _raise_error(answer: dict[str, Any]) -> None:
    """Raise the error that a child answered with, if it did."""
    if "errno" in answer:
        raise OSError(answer["errno"], answer["message"])
    if "error" in answer:
        raise _ERRORS.get(answer["error"], PixelError)(answer["message"])


def _sealed_memory(descriptors: Sequence[int], length: int) -> mmap.mmap:
    # Without the seals the child could truncate the mapped file (SIGBUS here) or change its pixels.
    if not descriptors or fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS) & _SEALED != _SEALED:
        raise PixelError("the decoder's answer has no pixels")
    return mmap.mmap(descriptors[0], length, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)


def _packed_levels(answer: dict[str, Any], descriptors: Sequence[int]) -> bytes:
    with _sealed_memory(descriptors, answer["length"]) as memory:
        content = memory[:]
    read_index(content, len(content))
    return content


def _examined(answer: dict[str, Any], descriptors: Sequence[int]) -> Examined:
    rows, columns = answer["shape"]
    memory = _sealed_memory(descriptors, 4 * rows * columns)
    pixels = np.frombuffer(memory, np.float32).reshape(rows, columns)
    verdict = Plausibility(
        reason=Reason(answer["reason"]) if answer["reason"] else None,
        sentence=answer["sentence"],
        measured=answer["measured"],
    )
    return Examined(frame=Frame(pixels=pixels, warnings=tuple(answer["warnings"])), verdict=verdict)
