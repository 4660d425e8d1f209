"""Streams of a hostile or broken peer to the receiver; the long form is benchmarks/fuzz_receiver.py."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[3] / "benchmarks" / "fuzz_receiver.py"


def run(*arguments: str) -> str:
    """Return the output of the fuzzer once it has found nothing."""
    done = subprocess.run(
        [sys.executable, str(FUZZ), *arguments],
        cwd=FUZZ.parents[1],
        env=None,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.serial
@pytest.mark.slow
def test_2000_mutated_streams_leave_nothing_and_block_no_other():
    """No crash, no thread, file or memory left, the good association within a second."""
    assert "nothing left, nothing lost" in run("--streams", "2000", "--silent", "1500")


@pytest.mark.slow
def test_the_plain_way_of_receiving_stands_the_same():
    """Fewer streams: the plain path is slower."""
    assert "nothing left" in run("--plain", "--streams", "200", "--silent", "300", "--stalled", "2")
