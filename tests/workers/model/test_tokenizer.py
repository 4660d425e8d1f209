"""Both meanings of `legacy`, special tokens, and files that are no tokenizer."""

import json
import shutil

import pytest

from workers.model.errors import CheckpointError
from workers.model.tokenizer import BOS, EOS, UNK, Tokenizer


@pytest.fixture(scope="module")
def model(goldens):
    """Bytes of a SentencePiece model."""
    return (goldens / "tokenizer.model").read_bytes()


def pieces(tokenizer, text):
    """The pieces of `text` without the BOS."""
    return [tokenizer._decoder.id_to_piece(i) for i in tokenizer.encode(text)][1:]


def test_text_after_a_special_token_gets_a_space_only_in_legacy_mode(model):
    """`legacy` gives every stretch the dummy prefix, otherwise only the start of the text has it."""
    legacy = pieces(Tokenizer(model, legacy=True, add_bos=True), "<s>the lungs</s>the lungs")
    modern = pieces(Tokenizer(model, legacy=False, add_bos=True), "<s>the lungs</s>the lungs")
    assert "".join(legacy) == "<s>▁the▁lungs</s>▁the▁lungs"
    assert "".join(modern) == "<s>the▁lungs</s>the▁lungs"


@pytest.mark.parametrize("legacy", [True, False])
def test_plain_text_begins_with_a_space_in_both_modes(model, legacy):
    """A text without special tokens has one dummy prefix and comes back as it was."""
    tokenizer = Tokenizer(model, legacy=legacy, add_bos=True)
    assert "".join(pieces(tokenizer, "no effusion")).startswith("▁no")
    assert tokenizer.decode(tokenizer.encode("No effusion.\nHeart: normal")) == (
        "No effusion.\nHeart: normal"
    )


def test_a_leading_space_after_a_special_token_is_kept(model):
    """The assistant's leading space in a chat is one piece of its own or part of the first word."""
    ids = pieces(Tokenizer(model, legacy=False, add_bos=True), "a<s> lungs")
    assert "".join(ids) == "▁a<s>▁lungs"


def test_the_file_decides_legacy_and_bos(goldens, tmp_path):
    """A missing `legacy` means true, a missing `add_bos_token` too; a value in the file applies."""
    shutil.copyfile(goldens / "tokenizer.model", tmp_path / "tokenizer.model")
    assert Tokenizer.from_folder(tmp_path).legacy
    settings = {"legacy": False, "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert not tokenizer.legacy
    assert tokenizer.encode("a")[0] != BOS


def test_special_tokens_are_left_out_or_written_out(model):
    """Decoding skips special ids by default and decodes them on request."""
    tokenizer = Tokenizer(model, legacy=False, add_bos=True)
    ids = [BOS, *tokenizer.encode("heart")[1:], EOS, UNK]
    assert tokenizer.decode(ids) == "heart"
    assert tokenizer.decode(ids, skip_special=False) == "<s>heart</s><unk>"


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
    """A missing or broken tokenizer.model gives one error with its name."""
    if content is not None:
        (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model"):
        Tokenizer.from_folder(tmp_path)


def test_ids_without_a_spelling_are_left_out(model):
    """A model with a padded vocabulary may return an id that its tokenizer lacks."""
    tokenizer = Tokenizer(model, legacy=False, add_bos=True)
    ids = tokenizer.encode("No effusion.")
    beyond = [*ids, tokenizer.vocab_size, 31999]
    assert tokenizer.decode(beyond) == "No effusion."
    assert tokenizer.decode(beyond, skip_special=False).endswith("No effusion.")
