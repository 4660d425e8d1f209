"""A run that is stopped or killed goes on where it was, and ends with the same figures."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from workers.evaluation.run_directory import DRAFTS, METRICS
from workers.model.checkpoints import shipped

WETREAD = Path(sys.executable).with_name("wetread")


def started(site, phantoms, out, *more):
    """Start the command in a process of its own."""
    words = [WETREAD, "evaluate", phantoms / "films", "--truth", phantoms / "labels.csv"]
    return subprocess.Popen(
        [*words, "--out", out, *more],
        cwd=site,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def drafts(out):
    """Return the number of finished lines."""
    path = out / DRAFTS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def until_drafts(process, out, count, seconds=120):
    """Wait until so many drafts are on disk, or the process has ended."""
    end = time.monotonic() + seconds
    while drafts(out) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


@pytest.fixture
def site(tmp_path):
    """A folder with the default settings."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_ten_times_it_ends_with_the_same_metrics(site, phantoms_of, tmp_path):
    """Kill -9 after one more draft each time, then to the end: byte for byte the same."""
    phantoms = phantoms_of(tmp_path / "many", 24)
    whole = tmp_path / "whole"
    assert started(site, phantoms, whole).wait(300) == 0
    out = tmp_path / "killed"
    kills = 0
    for number in range(1, 11):
        process = started(site, phantoms, out)
        until_drafts(process, out, 2 * number)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        if number == 5:  # also in the middle of a line
            with (out / DRAFTS).open("ab") as file:
                file.write(b'{"id": "2.25.')
    assert kills >= 8
    assert 0 < drafts(out) < 24
    assert started(site, phantoms, out).wait(300) == 0
    assert (out / METRICS).read_bytes() == (whole / METRICS).read_bytes()
    lines = [json.loads(line)["id"] for line in (out / DRAFTS).read_text().splitlines()]
    assert len(lines) == len(set(lines)) == 24


@pytest.mark.slow
def test_an_interrupt_writes_what_is_there(site, phantoms_of, tmp_path):
    """SIGINT: exit 130, figures of the part that was read, marked as a part; then it goes on."""
    phantoms = phantoms_of(tmp_path / "many", 24)
    out = tmp_path / "out"
    process = started(site, phantoms, out)
    until_drafts(process, out, 3)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(120) == 130
    metrics = json.loads((out / METRICS).read_text())
    assert metrics["complete"] is False
    assert 0 < metrics["figures"]["studies"] == drafts(out) < 24
    assert "the run was interrupted" in (out / "report.html").read_text()
    assert started(site, phantoms, out).wait(300) == 0
    assert json.loads((out / METRICS).read_text())["complete"] is True


def noised(folder):
    """Return a copy of the shipped model whose weights have noise of 0.7 standard deviations."""
    shutil.copytree(shipped.FOLDER, folder)
    generator = torch.Generator().manual_seed(0)
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        for name, values in sorted(tensors.items()):
            if values.ndim > 1:
                noise = torch.randn(values.shape, generator=generator) * values.float().std() * 0.7
                tensors[name] = (values.float() + noise).to(values.dtype)
        save_file(tensors, path, metadata={"format": "pt"})
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_with_noise_in_its_weights_is_found(site, phantoms_of, tmp_path, monkeypatch):
    """The comparison with the shipped model says that it is worse, with an interval below 0."""
    phantoms = phantoms_of(tmp_path / "many", 30)
    good = tmp_path / "good"
    assert started(site, phantoms, good).wait(300) == 0
    monkeypatch.setenv("WETREAD_READING__MODEL", "cxr-llava-v2")
    monkeypatch.setenv("WETREAD_READING__MODEL_DIR", str(noised(tmp_path / "noised")))
    monkeypatch.setenv("WETREAD_READING__DEMO_READS_PATIENTS", "true")
    bad = tmp_path / "bad"
    process = started(site, phantoms, bad, "--compare", good)
    assert process.wait(300) in (0, 1)  # 1: texts that are no language
    (found,) = json.loads((bad / METRICS).read_text())["comparisons"]
    micro = found["together"]["micro F1"]
    assert micro["difference"]["interval"]["high"] < 0
    assert micro["test"]["p"] < 0.01
    assert found["better"] == []


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    """The second is told, and changes nothing."""
    from workers.evaluation.faults import InputFaults  # noqa: PLC0415
    from workers.evaluation.run_directory import RunDirectory  # noqa: PLC0415

    first = RunDirectory.opened(tmp_path / "out", "digest")
    with pytest.raises(InputFaults, match="another evaluation writes to it"):
        RunDirectory.opened(tmp_path / "out", "digest")
    first.close()
    RunDirectory.opened(tmp_path / "out", "digest").close()
