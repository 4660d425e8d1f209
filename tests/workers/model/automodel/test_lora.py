"""A LoRA adapter is merged by its factors, or refused with the fault."""

import json

import pytest
import torch
from safetensors.torch import save_file

from workers.model.automodel.loading import load
from workers.model.errors import CheckpointError

RANK, ALPHA = 4, 8
# The names of an adapted layer in the network and in files of older releases of the library.
LAYER = "model.language_model.layers.1.self_attn.q_proj"
OLDER = "language_model.model.layers.1.self_attn.q_proj"


@pytest.fixture
def adapter(tmp_path):
    """A function that writes an adapter of one layer [64, 64] and returns its folder and factors."""

    def written(layer=LAYER, shape=(64, 64), config=None, **extra):
        folder = tmp_path / "adapter"
        folder.mkdir(exist_ok=True)
        torch.manual_seed(5)
        narrow, wide = torch.randn(RANK, shape[1]), torch.randn(shape[0], RANK)
        tensors = {
            f"base_model.model.{layer}.lora_A.weight": narrow,
            f"base_model.model.{layer}.lora_B.weight": wide,
        }
        save_file(tensors | extra, folder / "adapter_model.safetensors")
        settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}
        (folder / "adapter_config.json").write_text(json.dumps(settings | (config or {})))
        return folder, narrow, wide

    return written


@pytest.mark.parametrize("layer", [LAYER, OLDER])
@pytest.mark.parametrize(("rslora", "scale"), [(False, ALPHA / RANK), (True, ALPHA / RANK**0.5)])
def test_the_weights_become_base_plus_scaled_product(
    checkpoint, profile, adapter, layer, rslora, scale
):
    """One layer changes by alpha / r x B A (rsLoRA: alpha / sqrt(r)), no other; so does the digest."""
    base = load(checkpoint("llava_next"), profile)
    folder, narrow, wide = adapter(layer, config={"use_rslora": rslora})
    merged = load(checkpoint("llava_next"), profile, adapter=folder)
    before, after = base.network.state_dict(), merged.network.state_dict()
    name = f"{LAYER}.weight"
    torch.testing.assert_close(after[name], before[name] + scale * wide @ narrow)
    assert all(torch.equal(before[one], after[one]) for one in before if one != name)
    assert base.checkpoint.weights_sha256 != merged.checkpoint.weights_sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"use_dora": True}}, "use_dora"),
        ({"config": {"modules_to_save": ["lm_head"]}}, "modules_to_save"),
        ({"config": {"peft_type": "IA3"}}, "peft_type"),
        ({"config": {"r": 0}}, "adapter_config"),
        ({"layer": "model.language_model.layers.9.self_attn.q_proj"}, "no linear layer"),
        ({"layer": "model.language_model.norm"}, "no linear layer"),
        ({"shape": (64, 32)}, "another model's adapter"),
        ({"stray": torch.zeros(2)}, "stray is no part of a LoRA adapter"),
        ({"base_model.model.x.lora_A.weight": torch.zeros(2, 2)}, "x has one factor only"),
    ],
)  # fmt: skip
def test_an_adapter_that_does_not_fit_is_refused(checkpoint, profile, adapter, change, message):
    """What is not implemented, or of another model, is named."""
    folder, *_ = adapter(**change)
    with pytest.raises(CheckpointError, match=message):
        load(checkpoint("llava_next"), profile, adapter=folder)


def test_a_pickled_or_missing_adapter_is_refused(checkpoint, profile, adapter):
    """Only `adapter_model.safetensors` is read."""
    folder, *_ = adapter()
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors is missing"):
        load(checkpoint("llava_next"), profile, adapter=folder)
