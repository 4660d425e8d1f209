"""`wetread check` reads a synthetic image with each model and looks at the answer."""

import json
import re
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file
from torch import Generator, randn

from service.checks.check import Grade
from service.checks.model import model_checks
from service.settings.config import as_environment, child_environment, load_settings
from workers.model.checkpoints import shipped, tiny


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """A function: what is reported about the model of these settings, and the steps reported."""

    def check(*, seconds=200.0, **reading):
        overrides = {"data_dir": str(tmp_path / "data"), "reading": reading}
        for name, value in as_environment(overrides).items():
            monkeypatch.setenv(name, value)
        steps = []
        (found,) = model_checks(load_settings(), steps.append, seconds)
        return found.probe(), steps

    return check


def untrained(folder):
    """A checkpoint of random weights that does not state it."""
    tiny.ensure_tiny(folder)
    config = folder / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "meaningless": False, "caveat": ""}))
    return folder


def test_the_demo_model_sees_what_is_shown_and_reads_no_patient(outcome):
    """It loads, finds the pneumothorax, and the check says that there is no model for patients."""
    found, steps = outcome()
    assert found.grade is Grade.WARNING
    assert "float32 on cpu" in found.detail
    assert re.search(r"memory \d+\.\d GB, weights sha256 ", found.detail)
    assert "with the pneumothorax that it shows" in found.detail
    assert "no model for patients" in found.detail
    assert steps == [
        "model demo: loading demo on cpu ...",
        "model demo: reading a synthetic image ...",
    ]


def test_a_demonstration_model_that_reads_patients_is_reported(outcome):
    """Random weights that read patients' images, as the site asked."""
    found, _ = outcome(model="tiny", demo_reads_patients=True)
    assert found.grade is Grade.WARNING
    assert "demo_reads_patients is set" in found.detail


def test_a_model_that_writes_no_language_is_a_fault(outcome, tmp_path):
    """Its files are complete and load; only its answer shows the fault."""
    found, _ = outcome(model="cxr-llava-v2", model_dir=str(untrained(tmp_path / "model")))
    assert found.grade is Grade.FAULT
    assert "not language" in found.detail


def test_a_damaged_demo_model_is_a_fault(tmp_path, outcome):
    """Weights with as much noise as signal: nothing is found, or no language is written."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in shipped.FOLDER.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    noise = Generator().manual_seed(1)
    for shard in folder.glob("*.safetensors"):
        weights = load_file(shard)
        noisy = {
            name: (each + randn(each.shape, generator=noise) * each.float().std()).to(each.dtype)
            for name, each in weights.items()
        }
        save_file(noisy, shard, metadata={"format": "pt"})
    found, _ = outcome(model="cxr-llava-v2", model_dir=str(folder))
    assert found.grade is Grade.FAULT


def test_a_model_that_cannot_be_loaded_states_why_and_one_that_hangs_is_ended(outcome):
    """A device that is not there; a limit of a moment."""
    found, _ = outcome(device="cuda:7")
    assert (found.grade, "CUDA devices" in found.detail) == (Grade.FAULT, True)
    found, _ = outcome(device="cpu", seconds=0.1)
    assert (found.grade, "not done after 0.1 s" in found.detail) == (Grade.FAULT, True)


def test_each_line_is_printed_when_its_check_is_done(tmp_path):
    """The first line is printed while the model is still being loaded."""
    environment = child_environment(**as_environment({"data_dir": str(tmp_path / "data")}))
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", "check"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        first = process.stdout.readline()
        assert process.poll() is None
        rest = process.stdout.read()
    assert first == "ok       configuration: valid\n"
    assert "...      model demo: loading demo on cpu ..." in rest
