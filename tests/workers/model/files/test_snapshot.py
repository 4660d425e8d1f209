"""A pinned folder is loaded only if unchanged."""

import shutil
import subprocess

import pytest
from click.testing import CliRunner

from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.commands.pin_model import pin_model
from workers.model.checkpoints import registry
from workers.model.errors import CheckpointError
from workers.model.files import snapshot
from workers.reading.model_loading import load_model


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A checkpoint of one's own, with its list."""
    copy = shutil.copytree(tiny_folder, tmp_path / "model")
    (copy / "complete").unlink()
    snapshot.pin(copy)
    return copy


def test_the_list_is_one_that_sha256sum_checks(folder):
    """Another program finds every file as listed."""
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", snapshot.LIST],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0
    assert checked.stdout.count(": OK") == len(list(folder.iterdir())) - 1


def test_an_unchanged_folder_loads(folder):
    """The model is the same with a list as without."""
    assert registry.load("cxr-llava-v2", folder).checkpoint.weights_sha256


def test_every_difference_is_named(folder):
    """A changed file, a missing and an added one: one error names all three."""
    config = folder / "config.json"
    config.write_text(config.read_text().replace("1e-05", "1e-06"))
    (folder / "special_tokens_map.json").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError) as failed:
        registry.load("cxr-llava-v2", folder)
    message = str(failed.value)
    assert "changed: config.json" in message
    assert "missing: special_tokens_map.json" in message
    assert "not listed: pytorch_model.bin" in message


def test_a_list_that_was_recreated_is_not_what_was_pinned(folder, tmp_path):
    """Write access to the folder can change file and list, but not the digest in the settings."""
    digest = snapshot.list_digest(folder)
    reading = Reading(model="cxr-llava-v2", model_dir=folder, model_sha256=digest)
    settings = Settings(data_dir=tmp_path, reading=reading)
    assert load_model(settings).checkpoint.weights_sha256
    (folder / "generation_config.json").write_text("{}")
    assert snapshot.pin(folder) != digest
    with pytest.raises(CheckpointError, match="not the one that was pinned"):
        load_model(settings)


def test_a_folder_without_a_list_is_not_what_was_pinned(tiny_folder):
    """A digest in the settings needs the list in the folder."""
    with pytest.raises(CheckpointError, match="pin-model"):
        snapshot.resolved_folder(tiny_folder, "0" * 64)


def test_a_list_that_is_none_is_refused(folder):
    """Lines that do not name a plain file are an error."""
    (folder / snapshot.LIST).write_text("0" * 64 + "  ../config.json\n")
    with pytest.raises(CheckpointError, match="a line is not"):
        registry.load("cxr-llava-v2", folder)


def test_the_command_prints_what_the_settings_need(folder):
    """`wetread pin-model` writes the list and prints the setting with its digest."""
    shown = CliRunner().invoke(pin_model, [str(folder)])
    assert shown.exit_code == 0
    assert shown.stdout == f'model_sha256 = "{snapshot.list_digest(folder)}"\n'


def test_a_folder_without_a_model_is_pinned_with_a_warning(folder, tmp_path):
    """On stderr; the output stays a line for the settings."""
    (tmp_path / "notes.txt").write_text("notes")
    shown = CliRunner().invoke(pin_model, [str(tmp_path)])
    assert shown.stdout == f'model_sha256 = "{snapshot.list_digest(tmp_path)}"\n'
    assert "no config.json and no weights" in shown.stderr
    assert CliRunner().invoke(pin_model, [str(folder)]).stderr == ""


def hub(folder, cache, revision):
    """A model's folder as the Hub's client lays it out: blobs, and snapshots of links to them."""
    blobs, there = cache / "blobs", cache / "snapshots" / revision
    blobs.mkdir(parents=True, exist_ok=True)
    there.mkdir(parents=True)
    for file in folder.iterdir():
        blob = blobs / snapshot.file_digest(file)
        shutil.copy(file, blob)
        (there / file.name).symlink_to(f"../../blobs/{blob.name}")
    return there


def test_the_hubs_cache_loads_as_it_is(folder, tmp_path):
    """The snapshot that `refs/main` names is read, and recorded as the revision."""
    cache = tmp_path / "models--ECOFRI--CXR-LLAVA-v2"
    first, second = "a" * 40, "b" * 40
    hub(folder, cache, first)
    assert registry.load("cxr-llava-v2", cache).checkpoint.revision == first
    there = hub(folder, cache, second)
    with pytest.raises(CheckpointError, match="2 snapshots"):
        registry.load("cxr-llava-v2", cache)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(second)
    assert registry.load("cxr-llava-v2", cache).checkpoint.revision == second
    (there / "config.json").unlink()
    (there / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"changed: config\.json"):
        registry.load("cxr-llava-v2", cache)
