"""A process that receives: reference cycles are freed, and threads share few heaps."""

import subprocess
import sys

import pytest

RINGS = """
import gc, weakref
from service.system.gc_tuning import prepare_memory

class Ring:
    def __init__(self):
        self.itself = self

before = Ring()
prepare_memory()
alive = weakref.WeakSet()
most = 0
for _ in range(100_000):
    alive.add(Ring())
    most = max(most, len(alive))
known = set(map(id, gc.get_objects()))
print(most, id(before) in known, any(id(ring) in known for ring in alive))
"""
HEAPS = """
import ctypes, sys, threading
from service.system.gc_tuning import prepare_memory

if sys.argv[1] == "prepared":
    prepare_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fflush.argtypes = [ctypes.c_void_p]
together = threading.Barrier(12)

def allocate():
    together.wait()
    libc.malloc(50_000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
output = libc.fdopen(1, b"w")
libc.malloc_info(0, output)
libc.fflush(output)
"""

STARTED = """
import gc
from service.cli import wetread

wetread.get_command(None, "settings")
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def printed(program: str, *arguments: str) -> str:
    """Return what a program prints in a process of its own: its settings apply to a whole process."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.fixture(scope="module")
def rings():
    """The most cycles at once; whether an old and a new one are collected."""
    return printed(RINGS).split()


def test_rings_do_not_pile_up(rings):
    """Of 100,000 cycles few exist at the same time."""
    assert 0 < int(rings[0]) < 30_000


def test_only_what_is_new_is_looked_through(rings):
    """Objects from before are exempt; later ones are not."""
    assert rings[1:] == ["False", "True"]


def test_threads_share_two_heaps():
    """Where they would otherwise have more."""
    heaps = {how: printed(HEAPS, how).count("<heap nr=") for how in ("prepared", "as ever")}
    assert heaps["prepared"] == 2
    assert heaps["as ever"] > 2


def test_what_a_command_imports_is_exempt_and_scans_go_on():
    """The objects of the imported modules are frozen; the collector runs again afterwards."""
    assert printed(STARTED).split() == ["True", "True"]
