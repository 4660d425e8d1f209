"""How a process that receives, which has a thread for each association, uses its memory.

Python looks through all objects for those that only hold each other, again and again, as new ones are
made: with the libraries that a receiver loads, and an association's thousand objects for each sender,
that was a fifth of the CPU time of a small film. What is loaded at the start stays to the end and need
not be looked through.

The C library gives threads heaps of their own, up to eight for each core, and each keeps some megabytes
of what it had: after a busy hour a receiver would be as large as all its heaps have ever been.
"""

import ctypes
import gc
from typing import Final

# New objects between two looks at them; Python's own 700 is less than one association's.
_BETWEEN_LOOKS: Final = 10_000
_HEAPS: Final = 2
_ARENA_MAX: Final = -8  # M_ARENA_MAX of mallopt(3), of glibc only


def prepare_memory() -> None:
    """Leave out what is here now, look at the rest less often, and let threads share few heaps.

    To be called when all is loaded and no association has begun.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BETWEEN_LOOKS, 10, 10)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _HEAPS)
