"""What the tests start ends with the test run, however that ends."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
# A run of pytest whose fixture starts a process, writes its id, and has no finalizer.
STARTS = """
import signal, subprocess, sys, time
import pytest
from tests.servers import ended_with_us

@pytest.fixture
def started():
    command = ended_with_us([sys.executable, "-c", "import time; time.sleep(300)"], signal.SIGTERM)
    sys.__stderr__.write(f"{subprocess.Popen(command).pid}\\n")
    sys.__stderr__.flush()

def test_waits(started):
    time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_of_a_fixture_ends_with_the_run(tmp_path, eventually, number):
    """Interrupted, ended or killed: nothing is left running."""
    file = tmp_path / "test_it.py"
    file.write_text(STARTS)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(file)]
    with subprocess.Popen(
        [*command, f"--rootdir={tmp_path}", "-c", "/dev/null"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        left = int(run.stderr.readline())
        assert psutil.pid_exists(left)
        run.send_signal(number)
        run.wait(60)
        eventually(lambda: not psutil.pid_exists(left), seconds=30, what="the end of the process")
