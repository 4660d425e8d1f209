"""Objects that hold each other go, also where they are looked for less often."""

import subprocess
import sys

import pytest

# In a process of its own: what it sets holds for the whole process.
PROGRAM = """
import gc, weakref
from service.garbage import spare_looks

class Ring:
    def __init__(self):
        self.itself = self

before = Ring()
spare_looks()
alive = weakref.WeakSet()
most = 0
for _ in range(100_000):
    alive.add(Ring())
    most = max(most, len(alive))
known = set(map(id, gc.get_objects()))
print(most, id(before) in known, any(id(ring) in known for ring in alive))
"""


@pytest.fixture(scope="module")
def seen():
    """What the program printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_rings_do_not_pile_up(seen):
    """Of 100,000 rings few are ever there at the same time."""
    assert 0 < int(seen[0]) < 30_000


def test_only_what_is_new_is_looked_through(seen):
    """What was there before is left out; what came later is not."""
    assert seen[1:] == ["False", "True"]
