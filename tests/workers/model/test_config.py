"""The permitted values of config.json; others are refused by name."""

import json
import re
import shutil

import pytest

from workers.model.checkpoints import cxr_llava, cxr_llava_v1
from workers.model.config import ModelConfig
from workers.model.errors import CheckpointError


@pytest.fixture
def folder(tmp_path, tiny_folder):
    """A copy of the tiny checkpoint that may be changed."""
    copy = tmp_path / "checkpoint"
    shutil.copytree(tiny_folder, copy)
    return copy


def change(folder, **keys):
    """Rewrite config.json; `a__b` is key b of section a, None removes."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for name, value in keys.items():
        *sections, key = name.split("__")
        place = config[sections[0]] if sections else config
        place[key] = value
        if value is None:
            del place[key]
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("clip_vision_cfg__ls_init_value", 1e-5, "ls_init_value"),
        ("clip_vision_cfg__pool_type", "avg", "pool_type"),
        ("llama__rope_scaling", {"type": "linear", "factor": 2.0}, "rope_scaling"),
        ("llama__hidden_act", "gelu", "hidden_act"),
        ("mm_use_im_start_end", True, "mm_use_im_start_end"),
        ("llama__hidden_size", None, "hidden_size"),
        ("image_preprocess_cfg", None, "image_preprocess_cfg"),
        ("clip_vision_cfg__image_size", 130, "patches"),
        ("mm_projector_dim", 64, "mm_projector_dim"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(folder, key, value, named):
    """A key that would change the arithmetic, or is missing, is named instead of ignored."""
    change(folder, **{key: value})
    with pytest.raises(CheckpointError, match=named):
        ModelConfig.from_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.model"])
def test_a_missing_file_is_named_once(folder, name):
    """With its folder, with a message."""
    (folder / name).unlink()
    with pytest.raises(CheckpointError) as caught:
        cxr_llava.load(folder)
    assert str(caught.value) == f"{folder}: {name} is missing"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """The folder is what is missing, not a file in it."""
    with pytest.raises(CheckpointError, match="nowhere: the folder does not exist"):
        cxr_llava.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("load", "layers", "other"),
    [(cxr_llava_v1.load, 4, "cxr-llava-v2"), (cxr_llava.load, [3, 4, 6, 3], "cxr-llava-v1")],
)
def test_the_checkpoint_of_the_other_version_is_named(folder, load, layers, other):
    """The first has a ResNet's list of layers, the second a transformer's number."""
    change(folder, clip_vision_cfg__layers=layers)
    with pytest.raises(CheckpointError, match=f"this is a checkpoint of {other}"):
        load(folder)


@pytest.mark.parametrize("load", [cxr_llava.load, cxr_llava_v1.load])
@pytest.mark.parametrize(
    "content",
    [{"llama": 3}, {"llama": {}, "clip_vision_cfg": []}, {"clip_vision_cfg": {"layers": {}}}, {}],
)
def test_a_file_of_another_kind_is_no_riddle(folder, content, load):
    """No error of Python: it is probably the checkpoint of another model."""
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert not re.search("object|iterable|subscriptable|argument", str(caught.value))


@pytest.mark.parametrize("content", ["", "[1]", "{", "nul"])
def test_a_file_that_is_no_json_object_is_named(folder, content):
    """A broken config.json gives an error with its path."""
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        ModelConfig.from_folder(folder)


def test_published_defaults_hold_where_keys_are_absent(folder):
    """Head width 64 and rope theta 10000 are what the published code assumes."""
    change(folder, clip_vision_cfg__head_width=None, llama__rope_theta=None)
    config = ModelConfig.from_folder(folder)
    assert config.vision.heads == 2
    assert config.language.rope_theta == 10000.0
    assert config.token_budget == 2048
