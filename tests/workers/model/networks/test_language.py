"""The decoder against transformers' own LLaMA, and its batches against single rows."""

import pytest
import torch
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaModel

from workers.model.config import LanguageConfig
from workers.model.networks.language import KVCache, LlamaDecoder

CONFIG = LanguageConfig(
    vocab_size=50, hidden_size=32, intermediate_size=48, layers=3, heads=4, kv_heads=2, head_dim=8,
    rms_norm_eps=1e-6, rope_theta=5000.0, max_positions=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def decoder():
    """A decoder with random weights."""
    torch.manual_seed(1)
    model = LlamaDecoder(CONFIG)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval().requires_grad_(False)


def cache(rows=1):
    """An empty cache."""
    return KVCache(CONFIG, rows=rows, slots=32, device=torch.device("cpu"), dtype=torch.float32)


def run(decoder, ids, at=0, into=None):
    """Hidden states of one row of ids that begins at position `at`."""
    positions = torch.arange(at, at + len(ids))[None]
    embeds = decoder.embed_tokens(torch.tensor(ids))[None]
    return decoder(embeds, positions, into or cache(), at + len(ids))[0]


def test_hidden_states_equal_those_of_transformers(decoder):
    """With the same weights and grouped heads, transformers' LlamaModel gives the same numbers."""
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
    )  # fmt: skip
    theirs = LlamaModel(config).eval()
    theirs.load_state_dict(decoder.state_dict())
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    with torch.inference_mode():
        expected = theirs(torch.tensor([ids])).last_hidden_state[0]
    torch.testing.assert_close(run(decoder, ids), expected, atol=1e-5, rtol=0)


def test_token_by_token_equals_all_at_once(decoder):
    """A cached decode gives what one pass over the whole sequence gives."""
    ids, one = [7, 8, 9, 10, 11], cache()
    steps = [run(decoder, ids[:2], into=one)[-1]]
    steps += [run(decoder, [ids[at]], at, one)[0] for at in range(2, 5)]
    torch.testing.assert_close(torch.stack(steps), run(decoder, ids)[1:], atol=1e-5, rtol=0)


def test_ragged_rows_in_one_batch_equal_single_rows(decoder):
    """Rows of different lengths, padded behind, prefill and decode as if each were alone."""
    rows, width = [[5, 6, 7, 8, 9, 10], [11, 12, 13]], 6
    batch = cache(rows=2)
    padded = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    positions = torch.arange(width).expand(2, -1)
    hidden = decoder(decoder.embed_tokens(padded), positions, batch, width)
    for number, row in enumerate(rows):
        torch.testing.assert_close(hidden[number, : len(row)], run(decoder, row), atol=1e-5, rtol=0)
    after = torch.tensor([[20], [21]])
    at = torch.tensor([[len(row)] for row in rows])
    stepped = decoder(decoder.embed_tokens(after), at, batch, width + 1)
    for number, row in enumerate(rows):
        alone = run(decoder, [*row, int(after[number])])[-1]
        torch.testing.assert_close(stepped[number, 0], alone, atol=1e-5, rtol=0)
