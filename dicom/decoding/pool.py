"""Films are decoded in processes of their own, so that what a film does to a decoder stays with it.

`Decoders.look` answers as `dicom.selection.image_selection.look` does. A child that dies, or does
not answer in time, costs its own film only: the next one is ready. What the other side is like:
`dicom.decoding.child`.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from dicom.decoding.child import PACKET
from dicom.decoding.exit_status import ExitStatus, ending, slow
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
from dicom.selection.image_selection import Looked
from dicom.selection.plausibility import Plausibility

PROGRAM: Final = (sys.executable, "-m", "dicom.decoding.child")
_TRIES: Final = 2
# Three times what was measured on films of 16 million pixels (plain, RLE, JPEG-LS, JPEG 2000).
_BYTES_A_PIXEL: Final = 24
_BYTES_AT_LEAST: Final = 512 * 2**20
_START_SECONDS: Final = 120.0  # until the first child answers, on a machine that is busy
_ENDING_SECONDS: Final = 2.0
_PATIENCE: Final = 1.0  # how long a caller waits for its turn until it may ask again
_STATUSES: Final = 64
_SEALED: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE
# The decoders' memory allocators and arithmetic need no threads, whose stacks count as memory.
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
    """Some children that look at films; safe for several threads."""

    def __init__(
        self, *, at_once: int, seconds: float, max_pixels: int, program: Sequence[str] = PROGRAM
    ) -> None:
        """Start the processes; they are ready a second later, and nobody waits for that here.

        Args:
            at_once: Films that are looked at at the same time; further callers wait a second.
            seconds: How long one film may take, by the clock and by the processor.
            max_pixels: Of the largest film; the children's memory is bounded by it.
            program: What runs `dicom.decoding.child.main`.

        Raises:
            OSError: No process can be started.
        """
        self._seconds = seconds
        self._program = tuple(program)
        self._bounds = {
            "children": at_once + 1,  # one is ready while another ends
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

    def look(self, path: Path, limits: PixelLimits) -> Looked:
        """Return what `dicom.selection.image_selection.look` returns, the pixels not to be written to.

        Raises:
            DicomError, OSError: As `dicom.selection.image_selection.look`; and
            DecoderDied: The film ended two children.
            DecodersBusy: Nobody was free within a second; its caller is not to be taken for hung.
            DecoderSlow: The child took too long, by the clock or by the processor.
            OutOfResources: It was killed from outside.
        """
        if not self._free.acquire(timeout=_PATIENCE):
            raise DecodersBusy("every decoder is at another film")
        try:
            return self._insisted(path, limits)
        finally:
            self._free.release()

    def _insisted(self, path: Path, limits: PixelLimits) -> Looked:
        ended = ExitStatus("", by_itself=False)
        for _ in range(_TRIES):
            answered = self._asked(path, limits)
            if isinstance(answered, Looked):
                return answered
            ended = answered
            if not ended.by_itself:
                raise ended.error(f"the film was not decoded: {ended.words}")
        raise DecoderDied(f"its picture ended the decoder {_TRIES} times ({ended.words})")

    def wait_until_ready(self) -> None:
        """Return when a film would be looked at without delay.

        Raises:
            OutOfResources: The children do not start, or die.
        """
        nothing = PixelLimits(max_pixels=1, max_bytes=1)
        with contextlib.suppress(InvalidDataset, OSError):
            self.look(Path(os.devnull), nothing)

    def close(self) -> None:
        """End the processes, and what they are at."""
        self._parent.close()

    def _asked(self, path: Path, limits: PixelLimits) -> Looked | ExitStatus:
        request = {
            "path": str(path.absolute()),
            "max_pixels": limits.max_pixels,
            "max_bytes": limits.max_bytes,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                parent = self._living_parent()
                parent.send(json.dumps(request).encode(), theirs)
            return self._heard(parent, ours)

    def _living_parent(self) -> "_Parent":
        with self._lock:
            if not self._parent.lives():
                self._parent.close()
                self._parent = _Parent(self._program, self._bounds)
            return self._parent

    def _heard(self, parent: "_Parent", answers: socket.socket) -> Looked | ExitStatus:
        """Return the answer of the child that took the film up."""
        pid = _taken_up(answers)
        if pid is None:
            return ExitStatus("the decoders have ended or do not start", by_itself=False)
        answers.settimeout(self._seconds)
        try:
            packet, descriptors, _, _ = socket.recv_fds(answers, PACKET, 1)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return slow(self._seconds)
        except OSError:
            packet, descriptors = b"", []
        with _closing(descriptors):
            if packet:
                return _looked(json.loads(packet), descriptors)
        return ending(parent.status(pid), self._seconds)


class _Parent:
    """The process whose children decode."""

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
        """Hand a request over; if that fails, the answer's end is closed, as it is when a child dies."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._requests, [packet], [answers.fileno()])

    def status(self, pid: int) -> int | None:
        """Return the wait status with which a child ended, or None if nobody tells."""
        with self._lock:
            while pid not in self._statuses:
                try:
                    told = self._endings.recv(PACKET)
                except OSError:
                    return None
                if not told:
                    return None
                ending = json.loads(told)
                self._statuses[ending["pid"]] = ending["status"]
                while len(self._statuses) > _STATUSES:  # of children for which nobody asked
                    del self._statuses[next(iter(self._statuses))]
            return self._statuses.pop(pid)

    def close(self) -> None:
        self._requests.close()
        self._endings.close()
        self._process.kill()  # the kernel then ends its children
        self._process.wait()


def _taken_up(answers: socket.socket) -> int | None:
    """Return the id of the child that has taken a film up, or None if none does."""
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


def _looked(said: dict[str, Any], descriptors: Sequence[int]) -> Looked:
    if "errno" in said:
        raise OSError(said["errno"], said["words"])
    if "error" in said:
        raise _ERRORS.get(said["error"], PixelError)(said["words"])
    rows, columns = said["shape"]
    if not descriptors or fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS) & _SEALED != _SEALED:
        raise PixelError("the decoder's answer has no pixels")
    memory = mmap.mmap(
        descriptors[0], 4 * rows * columns, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ
    )
    pixels = np.frombuffer(memory, np.float32).reshape(rows, columns)
    verdict = Plausibility(
        reason=Reason(said["reason"]) if said["reason"] else None,
        sentence=said["sentence"],
        measured=said["measured"],
    )
    return Looked(frame=Frame(pixels=pixels, warnings=tuple(said["warnings"])), verdict=verdict)
