"""Tunes garbage collection and heaps for a receiver, which has a thread for each association.

Python's cyclic garbage collector scans all objects again and again as new ones are made. With a
receiver's libraries, and about a thousand objects for each association, this took a fifth of the CPU
time of a small Instance. Objects loaded at the start live until the end and need no scan.

The C library gives threads heaps of their own, up to eight for each core. Each heap keeps some megabytes
of freed memory, so that after a busy hour a receiver would be as large as the sum of its heaps' peaks.
"""

import ctypes
import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

# New objects between two scans; Python's default of 700 is less than one association makes.
_BETWEEN_LOOKS: Final = 10_000
_HEAPS: Final = 2
_ARENA_MAX: Final = -8  # M_ARENA_MAX of mallopt(3), of glibc only


@contextmanager
def imports_without_scans() -> Generator[None, None, None]:
    """Pause garbage collection while modules are imported, then exempt their objects from it.

    What an import makes lives until the end: scans of it take a sixth of the CPU time of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def exempt_all() -> None:
    """Exempt all objects from the collections that the interpreter makes when it ends.

    The system frees the memory of a process that ends; the collections take up to 0.6 s of CPU time.
    """
    gc.freeze()


def prepare_memory() -> None:
    """Exempt the present objects from garbage collection, make it rarer, and limit the heaps to two.

    Call it once everything is loaded and before the first association.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BETWEEN_LOOKS, 10, 10)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _HEAPS)
