"""The rate limit of each calling AE: a token bucket that all processes of a machine share.

A bucket is a file of two numbers, the tokens left and the time of that count, read and written under
`flock`. All receivers, for C-STORE and STOW-RS, use the same bucket. The kernel releases the lock of a
process that dies.
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
# Clocks of machines that share the folder differ by less than this. A larger step means that a clock was
# set back: without this bound the bucket would not refill until the clock has caught up.
_AHEAD_SECONDS: Final = 60.0


class RateLimits:
    """Counts the Instances of each calling AE, in buckets that refill steadily.

    Safe for use from several threads and processes.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Take the folder of the buckets, created if missing, and the clock, in seconds since 1970."""
        self._folder = folder
        self._clock = clock

    def try_take(self, ae_title: str, per_minute: int) -> bool:
        """Return whether one more Instance is within the limit, and count it if so.

        Raises:
            OSError: The bucket cannot be read or written.
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
        """Lock a calling AE's bucket for the block; its file name is a hash of the AE title."""
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
