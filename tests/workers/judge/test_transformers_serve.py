"""A real OpenAI-compatible server with random weights as judge: every reply is counted as unparsable."""

import pytest

from service.evaluation.chexprompt.reply import Unparsable
from service.evaluation.chexprompt.summary import summary

WORDS = "the heart is of normal size. the lungs are clear. no pleural effusion or pneumothorax."
ENDS = {"bos_token": "<s>", "eos_token": "</s>"}
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def make_model(folder):
    """Write a Llama of two layers with random weights, and a tokenizer of 512 tokens."""
    import torch  # noqa: PLC0415 - slow to import
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: PLC0415

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=[*ENDS.values()], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([WORDS] * 10, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ENDS)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=8192, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.mark.slow
def test_random_weights_judge_nothing(
    transformers_serve, session_of, pairs_of, tmp_path, free_port
):
    """It fails the probe; if it is allowed, each pair is counted, and there is no figure."""
    make_model(tmp_path / "random")
    url = transformers_serve(tmp_path / "random", free_port())
    settings = {
        "model": str(tmp_path / "random"), "context_tokens": 16384, "max_tokens": 64,
        "request_seconds": 120, "concurrency": 1,
    }  # fmt: skip
    session, lines = session_of(url, allow_untested=True, **settings)
    judged, source = session.judged(pairs_of(2))
    assert all("cannot be parsed" in line for line in lines[:2])
    assert not source.probe.passed
    found = summary(judged, draws=10)
    assert (found.pairs, found.parsed) == (2, 0)
    assert sum(found.unparsable.values()) == 2
    assert not found.unparsable[Unparsable.NO_ANSWER]
    assert found.headline is None
    assert source.replies[0].prompt_tokens > 100
