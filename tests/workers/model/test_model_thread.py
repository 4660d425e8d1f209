"""A process that ends while its model is in a step keeps its own exit status."""

import subprocess
import sys
import threading

import pytest

from workers.model.errors import EngineStopped
from workers.model.model_thread import ModelThread, SteppingModel, called

# Ends by `sys.exit(3)` while three callers wait for the shipped model.
ENDS_IN_A_STEP = """
import sys, threading, time
import numpy as np
from workers.model.checkpoints import registry, shipped
from workers.model.engine.engine import Engine
from workers.model.errors import EngineStopped
from workers.model.prompts import Task

engine = Engine(registry.load("demo", shipped.FOLDER), rows=4)
image = np.random.default_rng(5).random((400, 400), dtype=np.float32)

def ask():
    try:
        while True:
            engine.answer(image, Task.REPORT)
    except EngineStopped:
        pass

for _ in range(3):
    threading.Thread(target=ask, daemon=True).start()
time.sleep(float(sys.argv[1]))
sys.exit(3)
"""

# Ends by `sys.exit(3)` while the thread of a caller prepares an image by torch.
ENDS_IN_A_PREPARATION = """
import sys, threading, time
import torch
from workers.model.model_thread import SteppingModel, called

class Model(SteppingModel):
    def __init__(self):
        super().__init__(name="model", step_timeout=60)
        self._thread.start()

    def _run(self):
        with self._changed:
            self._changed.wait_for(lambda: self._closed)

    @called
    def prepare(self):
        image = torch.zeros(1, 1, 1500, 1500)
        begun.set()
        for _ in range(30):
            torch.nn.functional.interpolate(image, (900, 900), mode="bicubic", antialias=True)

begun = threading.Event()
threading.Thread(target=Model().prepare, daemon=True).start()
begun.wait()
time.sleep(0.1)
sys.exit(3)
"""


def test_a_process_that_ends_while_a_caller_prepares_keeps_its_exit_status():
    """The process waits for the caller's thread, which torch would end by SIGABRT."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDS_IN_A_PREPARATION],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr


def test_nothing_is_prepared_after_the_end():
    """A caller that comes after `close` gets EngineStopped before it computes anything."""
    model = Ended()
    model.close()
    with pytest.raises(EngineStopped):
        model.prepare()


class Ended(SteppingModel):
    """A model without any step."""

    def __init__(self):
        super().__init__(name="ended", step_timeout=1)
        self._thread.start()

    @called
    def prepare(self):
        """Compute in the caller's thread."""
        pytest.fail("the method was entered")

    def _run(self):
        with self._changed:
            self._changed.wait_for(lambda: self._closed)


def test_a_process_that_ends_in_a_step_keeps_its_exit_status():
    """Status 3 at three different moments, where a daemon thread in torch made it SIGABRT."""
    for seconds in ("0.6", "0.75", "0.9"):
        ended = subprocess.run(
            [sys.executable, "-c", ENDS_IN_A_STEP, seconds],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 3, ended.stderr


def test_a_loop_that_does_not_end_is_left_after_the_timeout():
    """`end` returns after its timeout; the loop was asked to stop."""
    stopped, released = threading.Event(), threading.Event()
    thread = ModelThread(released.wait, name="hung", stop=stopped.set)
    thread.start()
    thread.end(0.05)
    assert stopped.is_set()
    released.set()
    thread.end()
