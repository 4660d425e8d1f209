"""The processes that decode images: a parent without threads, and its children.

`dicom.decoding.pool` starts the parent as `python -m dicom.decoding.child`. The parent imports the
decoders once and forks children that wait for requests. A child decodes one image at a time. It exits
after the first image that is refused, whose effects on the process are unknown, or after a hundred:
so one image cannot affect the next. The kernel limits the memory and processor time of a child, and a
child writes no core file.

Requests and answers are single packets of JSON; the pixels of an answer come as a sealed memory file.
Nothing is pickled.
"""

import contextlib
import ctypes
import fcntl
import gc
import json
import math
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicom.errors import DicomError
from dicom.pixels.display import load_display
from dicom.pixels.frame import PixelLimits
from dicom.pixels.levels import display_levels
from dicom.selection.image_selection import Examined, examine
from dicom.spool.levels_file import packed

PACKET: Final = 2**16
ORPHANED: Final = 3  # exit status of a child: the requesting process has ended
_MESSAGE_LENGTH: Final = 500
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PAUSE: Final = 0.05
_IMAGES_PER_CHILD: Final = 100
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def main() -> None:
    """Keep children waiting for requests until the requesting process ends.

    Command line arguments: the descriptor for requests, the descriptor for reports of failed children,
    and JSON with `children`, `memory` (bytes) and `seconds`.
    """
    requests = socket.socket(fileno=int(sys.argv[1]))
    endings = socket.socket(fileno=int(sys.argv[2]))
    bounds = json.loads(sys.argv[3])
    # A stop signal to the process group is meant for the worker, which still finishes the current image.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Collections in the children leave the parent's objects alone, so their pages stay shared.
    gc.collect()
    gc.freeze()
    for _ in range(bounds["children"]):
        _fork(requests, endings, bounds, libc)
    while _await_child(endings):
        _fork(requests, endings, bounds, libc)


def _await_child(endings: socket.socket) -> bool:
    """Wait until a child ends and report a failure; return False if no new child is needed."""
    pid, status = os.wait()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == ORPHANED:
        return False
    if status:
        try:
            endings.send(json.dumps({"pid": pid, "status": status}).encode(), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # unread reports fill the socket: the pool reads none of children that it killed
        except OSError:
            return False
        time.sleep(_PAUSE)  # throttle respawning of crashing children
    return True


def _fork(
    requests: socket.socket, endings: socket.socket, bounds: dict[str, Any], libc: ctypes.CDLL
) -> None:
    if os.fork():
        return
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    endings.close()
    _limit_memory(bounds["memory"])
    os._exit(_serve(requests, bounds["seconds"]))


def _limit_memory(memory: int) -> None:
    """Limit this process to `memory` bytes of address space beyond its present size."""
    # The first number of the file is the size of the address space in pages.
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # If the whole machine runs out of memory, the kernel kills this process first, not the worker.
    with contextlib.suppress(OSError):  # a sandbox may not allow it
        Path("/proc/self/oom_score_adj").write_text("1000")


def _serve(requests: socket.socket, seconds: int) -> int:
    """Decode image after image and send the answers; return the exit status."""
    for _ in range(_IMAGES_PER_CHILD):
        packet, descriptors, _, _ = socket.recv_fds(requests, PACKET, 1)
        if not packet:
            return ORPHANED
        with socket.socket(fileno=descriptors[0]) as answers:
            # The pool needs the process id to kill this child if it is too slow.
            answers.send(json.dumps({"pid": os.getpid()}).encode())
            _limit_time(seconds)
            answer, shown = _answer(json.loads(packet))
            socket.send_fds(answers, [json.dumps(answer).encode()], shown)
        if not shown:
            break
        os.close(shown[0])
    return 0


def _limit_time(seconds: int) -> None:
    """Limit this process to `seconds` of processor time from now; SIGXCPU then kills it."""
    spent = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return the answer for an image, and the descriptor of its pixels if it was decoded."""
    limits = PixelLimits(max_pixels=request["max_pixels"], max_bytes=request["max_bytes"])
    path = Path(request["path"])
    try:
        if request["levels"]:
            content = _levels(path, limits)
            return {"length": len(content)}, (_sealed(content),)
        examined = examine(path, limits)
        pixels = np.ascontiguousarray(examined.frame.pixels)
        return _described(examined), (_sealed(pixels.data.cast("B")),)
    except DicomError as error:
        return {"error": type(error).__name__, "message": str(error)[:_MESSAGE_LENGTH]}, ()
    except MemoryError:
        return {"error": "LimitExceeded", "message": "there is not enough memory for the image"}, ()
    except OSError as error:
        return {"errno": error.errno or 0, "message": error.strerror or "no reason given"}, ()


def _described(examined: Examined) -> dict[str, Any]:
    verdict = examined.verdict
    return {
        "shape": examined.frame.pixels.shape,
        "warnings": examined.frame.warnings,
        "reason": verdict.reason,
        "sentence": verdict.sentence,
        "measured": verdict.measured,
    }


def _levels(path: Path, limits: PixelLimits) -> bytes:
    """Return the content of the file of levels of an image."""
    levels = display_levels(load_display(path, limits))
    return packed(levels.description, levels.bodies)


def _sealed(content: bytes | memoryview) -> int:
    """Return the descriptor of a memory file with `content` that no process can change any more."""
    descriptor = os.memfd_create("image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


if __name__ == "__main__":
    main()
