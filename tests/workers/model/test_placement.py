"""The device and format of a model, and whether it fits there."""

import pytest
import torch

from workers.model.checkpoints import registry
from workers.model.checkpoints.cxr_llava import Network
from workers.model.config import LanguageConfig, ModelConfig, VisionConfig
from workers.model.errors import DeviceError
from workers.model.networks import memory
from workers.model.placement import Place, half_format, place

GB = 10**9


@pytest.fixture(scope="module")
def published():
    """A network of the published sizes that takes no memory."""
    vision = VisionConfig(
        image_size=512, patch_size=16, width=1024, layers=24, head_width=64, mlp_ratio=4.0,
        mean=0.5, std=0.4,
    )  # fmt: skip
    language = LanguageConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, layers=32, heads=32,
        kv_heads=32, head_dim=128, rms_norm_eps=1e-5, rope_theta=10000.0, max_positions=4096,
    )  # fmt: skip
    config = ModelConfig(
        vision=vision, language=language, token_budget=2048, max_new_tokens=None, caveat=""
    )
    with torch.device("meta"):
        return Network(config)


def test_the_format_follows_the_card():
    """Bfloat16 where the card calculates in it, float16 on a V100, float32 on the CPU."""
    assert half_format((9, 0)) is half_format((8, 0)) is torch.bfloat16
    assert half_format((7, 0)) is half_format((7, 5)) is torch.float16
    assert place("cpu", "auto").dtype is torch.float32


def test_a_named_format_is_taken():
    """The model gets the configured format, and the draft states it."""
    assert place("cpu", "float16").format == "float16"
    assert place("cpu", "bfloat16", quantisation="int4").format == "bfloat16 (decoder int4)"


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_named(device):
    """An absent or unknown device gives one message with its name."""
    with pytest.raises(DeviceError, match=device):
        place(device, "auto")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without CUDA")
def test_cuda_without_a_card_names_the_setting():
    """With what to set, and what to install for a card that is there."""
    with pytest.raises(
        DeviceError, match=r'0 CUDA devices: set reading\.device = "cpu", or (in|ma)'
    ):
        place("cuda", "auto")


def test_a_format_that_is_not_there_lists_the_others():
    """The error for a wrong format lists the formats."""
    with pytest.raises(DeviceError, match=r"float8.*float16.*int4"):
        place("cpu", "float8")


def test_the_need_of_the_published_model(published):
    """Weights to the byte; half a megabyte a token and row of cache; eight and four bits take less."""
    half = memory.need(published, Place(dtype=torch.bfloat16, rows=16, new_tokens=512))
    count = sum(weight.numel() for weight in published.parameters())
    assert half.weights == 2 * count
    assert half.cache == 16 * 1792 * 2 * 32 * 4096 * 2  # 1,024 of the image, 256 of words, 512 new
    eight = memory.need(published, Place(dtype=torch.bfloat16, quantisation="int8"))
    four = memory.need(published, Place(dtype=torch.bfloat16, quantisation="int4"))
    assert 6.9 * GB < eight.weights < 8.1 * GB
    assert 4.0 * GB < four.weights < 5.2 * GB


@pytest.mark.parametrize(("free", "expected"), [
    (45, r"as float32 it would fit with \d+ at once"),
    (20, r"as bfloat16 it would fit with \d at once"),
    (12, r"as bfloat16 \(decoder int8\) it would fit with 1 at once"),
    (8, r"as bfloat16 \(decoder int4\) it would fit with 1 at once"),
    (2, "it does not fit in any supported number format"),
])  # fmt: skip
def test_too_little_memory_states_what_would_fit(published, monkeypatch, free, expected):
    """Fewer answers at once are advised before fewer bits, more bits before fewer."""
    monkeypatch.setattr(memory, "free", lambda _: int(free * GB))
    with pytest.raises(DeviceError, match=expected) as failed:
        memory.check(published, Place(rows=32))
    assert "for 32 answers at once" in str(failed.value)


def test_nothing_is_allocated_for_a_model_that_does_not_fit(tiny_folder, monkeypatch):
    """The loader checks before it reads the weights."""
    monkeypatch.setattr(memory, "free", lambda _: 1000)
    monkeypatch.setattr("workers.model.files.weights.fill", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(DeviceError, match="does not fit in any supported number format"):
        registry.load("tiny", tiny_folder)
