"""The processes in which films are decoded: a parent without threads, and its children.

Started by `dicom.decoding.pool` as `python -m dicom.decoding.child`. The parent imports the
decoders once and keeps some children waiting. A child looks at one film at a time and ends after
the first that is refused, for nobody knows what it did, or after a hundred; what a film does to it
is done to nobody else. A child has bounds on memory and processor time that the kernel keeps, and
writes no core file.

Requests and answers are single packets of JSON; an answer's pixels come as a sealed memory file. Nothing
is pickled.
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
from numpy.typing import NDArray

from dicom.errors import DicomError
from dicom.pixels.frame import PixelLimits
from dicom.selection.image_selection import Looked, look

PACKET: Final = 2**16
ORPHANED: Final = 3  # a child's exit status: whoever asks is gone
_WORDS: Final = 500
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PAUSE: Final = 0.05
_FILMS: Final = 100
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def main() -> None:
    """Keep children waiting for films until whoever asks is gone.

    Arguments of the command line: the descriptor on which requests come, the one on which it is told how
    a child ended, and JSON with `children`, `memory` (bytes) and `seconds`.
    """
    requests = socket.socket(fileno=int(sys.argv[1]))
    endings = socket.socket(fileno=int(sys.argv[2]))
    bounds = json.loads(sys.argv[3])
    # A stop signal to the whole group is for the worker, which still finishes what is in hand.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    gc.collect()
    gc.freeze()
    for _ in range(bounds["children"]):
        _fork(requests, endings, bounds, libc)
    while _tended(endings):
        _fork(requests, endings, bounds, libc)


def _tended(endings: socket.socket) -> bool:
    """Return when a child has ended, having told of it if it died; False when there is no more to do."""
    pid, status = os.wait()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == ORPHANED:
        return False
    if status:
        try:
            endings.send(json.dumps({"pid": pid, "status": status}).encode(), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # of those that were ended for being slow nobody asks, and nobody reads them
        except OSError:
            return False
        time.sleep(_PAUSE)  # children that cannot live must not be born as fast as they die
    return True


def _fork(
    requests: socket.socket, endings: socket.socket, bounds: dict[str, Any], libc: ctypes.CDLL
) -> None:
    if os.fork():
        return
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    endings.close()
    _bind(bounds["memory"])
    os._exit(_serve(requests, bounds["seconds"]))


def _bind(memory: int) -> None:
    """Set this process's bounds: `memory` bytes beyond what it has now."""
    # The size in pages of this process's address space is the file's first number.
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where the whole machine runs out of memory this process goes first, not the worker.
    with contextlib.suppress(OSError):  # a sandbox may not have it
        Path("/proc/self/oom_score_adj").write_text("1000")


def _serve(requests: socket.socket, seconds: int) -> int:
    """Look at film after film and answer; return the exit status."""
    for _ in range(_FILMS):
        packet, descriptors, _, _ = socket.recv_fds(requests, PACKET, 1)
        if not packet:
            return ORPHANED
        with socket.socket(fileno=descriptors[0]) as answers:
            answers.send(json.dumps({"pid": os.getpid()}).encode())
            _allow(seconds)
            said, shown = _answer(json.loads(packet))
            socket.send_fds(answers, [json.dumps(said).encode()], shown)
        if not shown:
            break
        os.close(shown[0])
    return 0


def _allow(seconds: int) -> None:
    """Let this process compute for so long from now."""
    spent = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return what is said of a film, and the descriptor of its pixels where there are any."""
    limits = PixelLimits(max_pixels=request["max_pixels"], max_bytes=request["max_bytes"])
    try:
        looked = look(Path(request["path"]), limits)
        return _described(looked), (_sealed(looked.frame.pixels),)
    except DicomError as error:
        return {"error": type(error).__name__, "words": str(error)[:_WORDS]}, ()
    except MemoryError:
        return {"error": "LimitExceeded", "words": "there is not enough memory for the picture"}, ()
    except OSError as error:
        return {"errno": error.errno or 0, "words": error.strerror or "no reason given"}, ()


def _described(looked: Looked) -> dict[str, Any]:
    verdict = looked.verdict
    return {
        "shape": looked.frame.pixels.shape,
        "warnings": looked.frame.warnings,
        "reason": verdict.reason,
        "sentence": verdict.sentence,
        "measured": verdict.measured,
    }


def _sealed(pixels: NDArray[np.float32]) -> int:
    """Return the descriptor of a memory file with `pixels` that nobody can change any more."""
    descriptor = os.memfd_create("film", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    content = np.ascontiguousarray(pixels).data.cast("B")
    while content:
        content = content[os.write(descriptor, content) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


if __name__ == "__main__":
    main()
