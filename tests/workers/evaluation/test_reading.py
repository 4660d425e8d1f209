"""A run that is stopped or killed continues where it was, and ends with the same figures."""

import io
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

from service.assessment.file_names import DRAFTS, METRICS
from service.errors import ReaderStopped
from workers.evaluation.faults import InputFaults
from workers.evaluation.progress import Progress
from workers.evaluation.reading import CaseReading, Stop
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.studies import studies_at
from workers.model.checkpoints import shipped

WETREAD = Path(sys.executable).with_name("wetread")


def started(site, phantoms, out, *more):
    """Start the command in a process of its own."""
    command = [WETREAD, "evaluate", phantoms / "images", "--truth", phantoms / "labels.csv"]
    return subprocess.Popen(
        [*command, "--out", out, *more],
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
    """SIGINT: exit 130, figures of the part that was read, marked as a part; then it continues."""
    phantoms = phantoms_of(tmp_path / "many", 24)
    out = tmp_path / "out"
    process = started(site, phantoms, out)
    until_drafts(process, out, 3)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
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
    """The comparison with the shipped model states that it is worse, with an interval below 0."""
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
    """The second gets an error, and changes nothing."""
    first = RunDirectory.opened(tmp_path / "out", "digest")
    with pytest.raises(InputFaults, match="another evaluation writes to it"):
        RunDirectory.opened(tmp_path / "out", "digest")
    first.close()
    RunDirectory.opened(tmp_path / "out", "digest").close()


def ended(*_):
    """Raise what the reader raises when its model has ended."""
    raise ReaderStopped("the engine has ended")


def test_a_model_that_has_ended_ends_the_run_and_keeps_what_is_there(phantoms, tmp_path):
    """No study is recorded as failed: the same command continues with all that remain."""
    cases = studies_at(phantoms / "images", []).cases
    run, stop = RunDirectory.opened(tmp_path / "out", "digest"), Stop()
    reading = CaseReading(ended, run, at_once=3, max_pixels=2**20, stop=stop, progress=Progress(12))
    with pytest.raises(ReaderStopped):
        reading.read_all(cases)
    assert run.finished == {}
    assert stop()
    assert stop.signal == 0
    run.close()


def test_progress_states_rate_and_remaining_time_once_in_30_seconds_without_a_terminal():
    """A log of a night's run stays short."""
    stream, now = io.StringIO(), [0.0]
    progress = Progress(100, already=10, stream=stream, clock=lambda: now[0])
    for second in range(1, 61):
        now[0] = float(second)
        if second % 2 == 0:
            progress.finished({"state": "ERROR" if second == 60 else "DRAFTED", "tokens": 40})
        progress.show()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[-1] == (
        "40 of 100 studies, 30.0/min, 2 min left, 20 tokens/s, 0 not analyzed, 1 failed"
    )
