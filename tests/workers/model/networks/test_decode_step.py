"""The compiled step gives what the plain one gives, with a few sizes only."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from workers.model.checkpoints import registry
from workers.model.checkpoints.cxr_llava import Network
from workers.model.config import LanguageConfig, ModelConfig, VisionConfig
from workers.model.engine.engine import Engine
from workers.model.networks.decode_step import CompiledStep, next_logits
from workers.model.prompts import Task
from workers.model.vlm import Decoding

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


def test_an_engine_with_a_compiled_step_answers_as_ever(tiny_folder, monkeypatch):
    """Three orders through two rows, traced as for the compiler and run as traced: the plain tokens."""
    traced = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", lambda step, **how: traced(step, **{**how, "mode": None}))
    torch._dynamo.reset()
    shots = np.random.default_rng(5).random((3, 90, 70), dtype=np.float32)
    how = Decoding(max_new_tokens=12)
    plain = registry.load("tiny", tiny_folder)
    expected = [plain.answer(shot, Task.REPORT, decoding=how).token_ids for shot in shots]
    engine = Engine(registry.load("tiny", tiny_folder), rows=2, new_tokens=12, compiled=True)
    with ThreadPoolExecutor(3) as callers:
        answers = list(
            callers.map(lambda shot: engine.answer(shot, Task.REPORT, decoding=how), shots)
        )
    engine.close()
    assert [one.token_ids for one in answers] == expected
