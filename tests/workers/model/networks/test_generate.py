"""The choice of tokens, the end of an answer, and withdrawing."""

import io

import pytest
import sentencepiece
import torch
from transformers.generation.logits_process import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from workers.model.errors import Canceled, GenerationError
from workers.model.networks.generate import Writing, ends, extend, filtered, generate
from workers.model.tokenizer import EOS, Tokenizer
from workers.model.vlm import Decoding


@pytest.fixture(scope="module")
def tokenizer(goldens):
    """A real tokenizer."""
    return Tokenizer((goldens / "tokenizer.model").read_bytes(), legacy=False, add_bos=True)


def only(token, size=640):
    """Logits that leave no doubt."""
    return torch.nn.functional.one_hot(torch.tensor(token), size).float() * 50


def never_over(_):
    """Return False: this answer does not end by itself."""
    return False


def written(first, step, tokenizer, decoding, *rest):
    """The ids of one whole answer."""
    writing = Writing(decoding, lambda ids: ends(ids, tokenizer))
    generate(first, step, writing, *rest)
    return writing.ids


def test_greedy_takes_the_likeliest():
    """Greedy is the largest logit, whatever the seed, and its log-probability is kept."""
    logits = torch.tensor([0.1, 3.0, 2.9])
    for seed in range(5):
        one = Writing(Decoding(seed=seed), never_over)
        assert extend([one], logits[None]) == [True]
        assert one.ids == [1]
        assert one.scores == pytest.approx([logits.log_softmax(0)[1].item()])


def test_one_batch_gives_each_answer_its_own(tokenizer):
    """Greedy and sampled answers share a step; one whose logits overflow is detected alone."""
    del tokenizer
    logits = torch.zeros(3, 640)
    logits[0, 7], logits[1, 8], logits[2, 9] = 50, 50, torch.nan
    decodings = (Decoding(), Decoding(temperature=1.0, seed=3), Decoding())
    writings = [Writing(decoding, never_over) for decoding in decodings]
    assert extend(writings, logits) == [True, True, False]
    assert [one.ids for one in writings] == [[7], [8], []]


def test_a_seed_repeats_its_answer():
    """Sampling with one seed gives one sequence; another seed gives another."""
    logits = torch.zeros(50)

    def sampled(seed):
        one = Writing(Decoding(temperature=1.0, top_p=1.0, seed=seed), never_over)
        for _ in range(20):
            extend([one], logits[None])
        return one.ids

    assert sampled(3) == sampled(3)
    assert sampled(3) != sampled(4)


def test_top_k_and_top_p_keep_only_the_likely():
    """Fifty by count by default, then the smallest set that together has the probability."""
    many = filtered(torch.arange(200.0) / 100, Decoding(temperature=1.0, top_p=1.0))
    assert int(many.isfinite().sum()) == 50
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    kept = filtered(chances, Decoding(temperature=1.0, top_p=0.7))
    assert kept.isfinite().tolist() == [True, True, False, False]
    sure = filtered(chances, Decoding(temperature=1.0, top_p=0.01))
    assert sure.isfinite().tolist() == [True, False, False, False]


def test_filters_equal_those_of_transformers():
    """Temperature, top_k and top_p in this order give the scores that transformers gives."""
    torch.manual_seed(0)
    for _ in range(10):
        logits = torch.randn(300) * 3
        expected = logits[None]
        for warp in (TemperatureLogitsWarper(0.7), TopKLogitsWarper(50), TopPLogitsWarper(0.8)):
            expected = warp(torch.zeros(1, 1, dtype=torch.long), expected)
        torch.testing.assert_close(filtered(logits, Decoding(temperature=0.7)), expected[0])


def test_an_answer_ends_with_its_end_token(tokenizer):
    """Generation stops at `</s>` and keeps it as the last id."""
    script = iter([5, EOS, 7])
    ids = written(only(4), lambda _: only(next(script)), tokenizer, Decoding(max_new_tokens=9))
    assert ids == [4, 5, EOS]


def test_an_answer_ends_when_the_end_is_spelt_out():
    """`</s>` written in three ordinary pieces, as LLaMA's vocabulary has them, ends an answer too."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["heart lungs"]), model_writer=written, model_type="bpe",
        vocab_size=280, byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
        user_defined_symbols=["</", "s", ">"],
    )  # fmt: skip
    tokenizer = Tokenizer(written.getvalue(), legacy=False, add_bos=True)
    spelt = [tokenizer._pieces.piece_to_id(piece) for piece in ("</", "s", ">")]
    assert ends([40, *spelt], tokenizer)
    assert not ends([40, *spelt[:2]], tokenizer)


def test_the_bound_on_new_tokens_holds(tokenizer):
    """A model that never ends is cut at the bound."""
    ids = written(only(4), lambda _: only(4), tokenizer, Decoding(max_new_tokens=7))
    assert ids == [4] * 7


def test_a_withdrawn_answer_stops_before_the_next_token(tokenizer):
    """`canceled` is called before every token and ends the answer at once."""
    asked = []

    def canceled():
        asked.append(None)
        return len(asked) == 3

    with pytest.raises(Canceled):
        written(only(4), lambda _: only(4), tokenizer, Decoding(), canceled)
    assert len(asked) == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_an_error(tokenizer, value):
    """A model that overflows raises an error instead of writing meaningless text."""
    with pytest.raises(GenerationError, match="finite"):
        written(torch.full((640,), value), lambda _: only(4), tokenizer, Decoding())
