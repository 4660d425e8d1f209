"""Weight files: every layout gives the same model, and tensors that do not fit are named."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from workers.model.errors import CheckpointError
from workers.model.files.weights import WeightFiles, fill

CPU = torch.device("cpu")


def tensors():
    """The weights of the model below."""
    torch.manual_seed(0)
    return {name: torch.randn_like(value) for name, value in nn.Linear(3, 2).state_dict().items()}


def filled(folder, ignored=()):
    """A model with the weights found in `folder`."""
    with torch.device("meta"):
        model = nn.Linear(3, 2)
    fill(model, WeightFiles.find(folder), device=CPU, dtype=torch.float32, ignored=ignored)
    return model


def shard(folder, suffix, write):
    """Write the weights as two shards with an index."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    names = {}
    for number, (name, tensor) in enumerate(tensors().items(), start=1):
        names[name] = f"{stem}-0000{number}-of-00002.{suffix}"
        write({name: tensor}, folder / names[name])
    index = {"metadata": {}, "weight_map": names}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


LAYOUTS = {
    "one safetensors": lambda folder: save_file(tensors(), folder / "model.safetensors"),
    "safetensors shards": lambda folder: shard(folder, "safetensors", save_file),
    "one bin": lambda folder: torch.save(tensors(), folder / "pytorch_model.bin"),
    "bin shards": lambda folder: shard(folder, "bin", torch.save),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_loads(tmp_path, layout):
    """Single and sharded, safetensors and .bin: the same tensors arrive."""
    LAYOUTS[layout](tmp_path)
    loaded = filled(tmp_path).state_dict()
    for name, tensor in tensors().items():
        assert torch.equal(loaded[name], tensor)


def test_safetensors_are_preferred_to_pickles(tmp_path):
    """Where both are there, the pickles are not opened."""
    LAYOUTS["one safetensors"](tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not a pickle")
    assert torch.equal(filled(tmp_path).weight, tensors()["weight"])


def test_a_pickle_never_runs_code(tmp_path):
    """A .bin that would call a function when unpickled is refused, and the function is not called."""

    class Payload:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Payload()}))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        filled(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda _whole: b"", "incomplete"),
        (lambda whole: whole[:5], "incomplete"),
        (lambda whole: whole[:40], "incomplete"),
        (lambda whole: whole[:-1], "incomplete"),
        (
            lambda _whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "git lfs pull",
        ),
        (lambda _whole: b"<!DOCTYPE html><html>404</html>", "damaged"),
        (lambda whole: whole[:8] + b"?" * (len(whole) - 8), "damaged"),
    ],
)
def test_a_file_that_cannot_be_read_states_what_to_do(tmp_path, content, message):
    """Cut anywhere, a pointer to the file, a page of a server, a damaged header."""
    file = tmp_path / "model.safetensors"
    save_file(tensors(), file)
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as raised:
        filled(tmp_path)
    assert "copy it again" in str(raised.value)


def test_all_that_does_not_fit_is_named_in_one_error(tmp_path):
    """Missing, unexpected and mis-shaped tensors come together, with their names."""
    save_file(
        {"weight": torch.zeros(2, 4), "gamma": torch.zeros(1)}, tmp_path / "model.safetensors"
    )
    with pytest.raises(CheckpointError) as error:
        filled(tmp_path)
    text = str(error.value)
    assert "missing: bias" in text
    assert "unexpected: gamma" in text
    assert "of another shape: weight (2, 4) instead of (2, 3)" in text


def test_ignored_names_may_be_there(tmp_path):
    """Tensors that the model does not use are skipped by pattern."""
    save_file({**tensors(), "x.inv_freq": torch.zeros(1)}, tmp_path / "model.safetensors")
    loaded = filled(tmp_path, ignored=("*.inv_freq",)).state_dict()
    assert loaded.keys() == tensors().keys()


@pytest.mark.parametrize("name", ["../model.safetensors", "absent.safetensors", "/etc/passwd"])
def test_an_index_cannot_lead_out_of_its_folder(tmp_path, name):
    """A shard that is not a plain file beside the index is refused by name."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    save_file(tensors(), tmp_path / "model.safetensors")
    index = {"weight_map": {"weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="not beside it"):
        filled(folder)


def test_a_shard_cut_short_is_named(tmp_path):
    """A download that broke off gives an error with the file's name."""
    LAYOUTS["one safetensors"](tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        filled(tmp_path)


def test_an_empty_folder_states_what_is_needed(tmp_path):
    """Without weights the error lists the names that would do."""
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json"):
        filled(tmp_path)


def test_the_digest_distinguishes_weights(tmp_path, tiny_folder):
    """The digest stays for a copy and changes with one value."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    before = WeightFiles.find(tiny_folder).sha256()
    assert WeightFiles.find(copy).sha256() == before
    path = sorted(copy.glob("*.safetensors"))[0]
    content = load_file(path)
    next(iter(content.values())).view(-1)[0] += 1
    save_file(content, path)
    assert WeightFiles.find(copy).sha256() != before
