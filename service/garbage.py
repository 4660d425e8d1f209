"""How often a process that receives looks for objects that hold each other and nobody else holds.

Python looks through all objects again and again, as new ones are made: with the libraries that a
receiver loads, and an association's thousand objects for each sender, that was a fifth of the CPU time
of a small film. What is loaded at the start stays to the end and need not be looked through.
"""

import gc
from typing import Final

# New objects between two looks at them; Python's own 700 is less than one association's.
_BETWEEN_LOOKS: Final = 10_000


def spare_looks() -> None:
    """Leave out what is here now, and look at what is made from now on less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BETWEEN_LOOKS, 10, 10)
