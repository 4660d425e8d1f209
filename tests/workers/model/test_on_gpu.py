"""The scripts for a card and for the published size run their steps on the CPU, at a small size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
BENCHMARKS = ROOT / "benchmarks"
STEPS = [
    "machine",
    "parity",
    "library",
    "write",
    "load",
    "plain",
    "faults",
    "compiled",
    "int8",
    "int4",
    "fp8",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*command):
    """Run a command in the root of the repository; return its status and its output."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_the_script_for_a_card_records_each_step(tmp_path):
    """Parity, speed with the roofline, and faults; what is left out or impossible is named."""
    out = tmp_path / "on_gpu.json"
    left_out = ["library", "compiled", "int8", "int4"]  # minutes of a CPU; tested elsewhere
    status, output = run(
        "bash", BENCHMARKS / "on_gpu.sh", "--cpu", "--out", out, "--without", *left_out
    )
    assert status == 0, output
    found = json.loads(out.read_text())
    assert list(found) == STEPS
    statuses = {name: step["status"] for name, step in found.items()}
    assert {name for name, each in statuses.items() if each == "skipped"} == {*left_out, "fp8"}
    assert found["parity"]["largest_difference"] < 2e-4
    assert [one["name"] for one in found["plain"]["runs"]] == ["plain loop", "1", "2", "4"]
    assert all(one["reports_per_second"] > 0 for one in found["plain"]["runs"])
    assert found["faults"]["split_same_ids"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card")
def test_without_a_card_it_says_so(tmp_path):
    """No JSON with empty numbers."""
    status, output = run("bash", BENCHMARKS / "on_gpu.sh", "--out", tmp_path / "none.json")
    assert status != 0
    assert "no CUDA device here" in output
    assert not (tmp_path / "none.json").exists()


def test_a_checkpoint_in_the_published_layout_is_loaded_once():
    """A small one: written in three shards, loaded, read, and its memory printed."""
    status, output = run(sys.executable, BENCHMARKS / "full_size.py", "--size", "small")
    assert status == 0, output
    found = json.loads(output)
    assert found["tokens"] == 24
    assert found["most_memory_bytes"] > found["weights_bytes"]
