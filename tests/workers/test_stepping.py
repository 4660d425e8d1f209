"""The compiled step gives what the plain one gives, with a few sizes only."""

import torch

from workers.model.config import LanguageConfig, ModelConfig, VisionConfig
from workers.model.cxr_llava import Network
from workers.model.stepping import CompiledStep, next_logits

CONFIG = ModelConfig(
    vision=VisionConfig(
        image_size=16, patch_size=16, width=8, layers=1, head_width=8, mlp_ratio=1.0, mean=0, std=1
    ),
    language=LanguageConfig(
        vocab_size=20, hidden_size=16, intermediate_size=24, layers=1, heads=2, kv_heads=2,
        head_dim=8, rms_norm_eps=1e-5, rope_theta=10000.0, max_positions=64,
    ),
    token_budget=64, max_new_tokens=None, caveat="",
)  # fmt: skip


def test_the_compiled_step_equals_the_plain_one(monkeypatch):
    """Three rows of six, filled up to four: the same logits step by step, from one graph."""
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    torch._dynamo.reset()
    torch.manual_seed(0)
    network = Network(CONFIG).eval().requires_grad_(requires_grad=False)
    for weight in network.parameters():
        weight.normal_()
    with torch.inference_mode():
        plain, other = (network.cache(rows=6, slots=16) for _ in range(2))
        compiled = CompiledStep(network, other)
        assert compiled.sizes == [1, 2, 4, 6]
        for step in range(4):
            last = torch.tensor([[5 + row, step] for row in range(3)])
            expected = next_logits(network, plain.some(0, 3), last, step + 1)
            torch.testing.assert_close(compiled(last), expected, atol=1e-4, rtol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
