"""The decoder in 8 and 4 bits, by bitsandbytes where it is installed."""

import sys

import numpy as np
import pytest
import torch

from workers.model.checkpoints import registry
from workers.model.errors import DeviceError
from workers.model.networks import memory
from workers.model.placement import Place
from workers.model.prompts import Task
from workers.model.vlm import Decoding


@pytest.mark.parametrize(("bits", "close"), [("int8", 0.02), ("int4", 0.2)])
def test_fewer_bits_answer_nearly_the_same(tiny_folder, bits, close):
    """The first token's logits are near the whole weights' ones, and the record states the format."""
    image = np.random.default_rng(0).random((90, 70), dtype=np.float32)
    whole = registry.load("tiny", tiny_folder)
    fewer = registry.load("tiny", tiny_folder, Place(quantisation=bits))
    decoding = Decoding(max_new_tokens=8)
    answer = fewer.answer(image, Task.REPORT, decoding=decoding)
    assert answer.token_ids == fewer.answer(image, Task.REPORT, decoding=decoding).token_ids
    expected = whole.answer(image, Task.REPORT, decoding=decoding)
    assert abs(answer.token_scores[0] - expected.token_scores[0]) < close * 10
    assert fewer.checkpoint.dtype == f"float32 (decoder {bits})"
    assert "bitsandbytes " in fewer.checkpoint.libraries
    first, other = (model.network.llama.layers[0].mlp.down_proj for model in (whole, fewer))
    x = torch.randn(5, first.in_features, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        apart = (first(x) - other(x)).norm() / first(x).norm()
    assert apart < close


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_the_estimate_of_the_weights_is_what_is_kept(tiny_folder, bits):
    """The memory check counts the packed bytes, to a few per cent."""
    place = Place(quantisation=bits)
    estimate = memory.need(registry.load("tiny", tiny_folder).network, place).weights
    network = registry.load("tiny", tiny_folder, place).network
    kept = sum(weight.nbytes for weight in network.parameters())
    assert kept <= estimate < 1.1 * kept


def test_without_the_library_it_states_what_to_install(tiny_folder, monkeypatch):
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(DeviceError, match=r"wetread\[quantised\]"):
        registry.load("tiny", tiny_folder, Place(quantisation="int8"))
