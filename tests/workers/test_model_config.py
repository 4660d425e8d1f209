"""What config.json may ask, and what is refused by name."""

import json
import shutil

import pytest

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
