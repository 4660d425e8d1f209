"""How many films a caller may send: a bucket for each, shared by all processes of a machine.

A bucket is a file of two numbers, what is left and when that was, under a lock of the kernel: whichever
receiver a film comes to, C-STORE or STOW-RS, takes from the same one. A process that dies lets go of it.
"""

import contextlib
import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from service.system.private_servers import private_folder

_BUCKET: Final = struct.Struct("<dd")
# Clocks of machines that share the folder differ less than this; one that differs more was set back.
_AHEAD_SECONDS: Final = 60.0


class RateLimits:
    """Counts the films of each caller in a bucket that refills steadily; for threads and processes."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Take the folder of the buckets, made when missing, and the clock, in seconds since 1970."""
        self._folder = folder
        self._clock = clock

    def takes(self, ae_title: str, per_minute: int) -> bool:
        """Return whether one more film is within the limit, and count it if so.

        Raises:
            OSError: The disk refused the bucket.
        """
        with self._bucket(ae_title) as bucket:
            now, most = self._clock(), float(per_minute)
            content = os.pread(bucket, _BUCKET.size, 0)
            left, then = _BUCKET.unpack(content) if len(content) == _BUCKET.size else (most, now)
            if then > now + _AHEAD_SECONDS:
                then = now
            left = min(most, left + max(0.0, now - then) * per_minute / 60)
            allowed: bool = left >= 1
            os.pwrite(bucket, _BUCKET.pack(left - allowed, max(now, then)), 0)
            return allowed

    @contextlib.contextmanager
    def _bucket(self, ae_title: str) -> Iterator[int]:
        """Hold a caller's bucket for the length of the block; its file is named by a hash alone."""
        path = self._folder / hashlib.sha256(ae_title.encode()).hexdigest()[:32]
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            bucket = os.open(path, flags, 0o600)
        except FileNotFoundError:
            private_folder(self._folder.parent)
            private_folder(self._folder)
            bucket = os.open(path, flags, 0o600)
        try:
            fcntl.flock(bucket, fcntl.LOCK_EX)
            yield bucket
        finally:
            os.close(bucket)
