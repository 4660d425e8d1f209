"""The SentencePiece tokenizer of LLaMA checkpoints, with both meanings of `legacy`.

`legacy: true` (also when the key is missing): every stretch of text between special tokens gets
SentencePiece's dummy prefix space. `legacy: false`: only the very start of the text gets it.
"""

import re
from pathlib import Path
from typing import Final

import sentencepiece

from workers.model.config import missing, read_json
from workers.model.errors import CheckpointError

UNK, BOS, EOS = 0, 1, 2
SPECIAL: Final = {"<unk>": UNK, "<s>": BOS, "</s>": EOS}
_SPLIT = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
# ModelProto.normalizer_spec (field 3) { add_dummy_prefix (field 3): false }. Protocol Buffers merge a
# message field that comes again at the end into the earlier one, so this changes that switch only.
_NO_DUMMY_PREFIX: Final = b"\x1a\x02\x18\x00"
_UNDERLINE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's space


class Tokenizer:
    """Converts text to ids and back, as the checkpoint's own tokenizer does."""

    def __init__(self, model: bytes, *, legacy: bool, add_bos: bool) -> None:
        self.legacy = legacy
        self.add_bos = add_bos
        self._decoder = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._pieces = self._decoder
        if not legacy:
            self._pieces = sentencepiece.SentencePieceProcessor(
                model_proto=model + _NO_DUMMY_PREFIX
            )
        self._unk_pieces = len(self._pieces.encode("<unk>"))

    @classmethod
    def from_folder(cls, folder: Path, *, known: int | None = None) -> "Tokenizer":
        """Return the tokenizer of the checkpoint in `folder`.

        Args:
            folder: With `tokenizer.model`.
            known: Number of ids of the model, which must include all of the tokenizer's.

        Raises:
            CheckpointError: `tokenizer.model` is missing or no SentencePiece model, its first ids
                are not `<unk>`, `<s>`, `</s>`, or it has ids that the model does not know.
        """
        path = folder / "tokenizer_config.json"
        settings = read_json(path) if path.exists() else {}
        try:
            tokenizer = cls(
                (folder / "tokenizer.model").read_bytes(),
                legacy=settings.get("legacy") is not False,
                add_bos=settings.get("add_bos_token") is not False,
            )
        except OSError as error:
            raise missing(folder / "tokenizer.model", error) from None
        except RuntimeError:
            path = folder / "tokenizer.model"
            raise CheckpointError(f"{path}: no SentencePiece model, or a damaged one") from None
        for piece, number in SPECIAL.items():
            if tokenizer._decoder.piece_to_id(piece) != number:
                raise CheckpointError(f"{folder / 'tokenizer.model'}: {piece} is not id {number}")
        if known is not None and tokenizer.vocab_size > known:
            raise CheckpointError(
                f"{folder}: the tokenizer has {tokenizer.vocab_size} ids, the model only {known}"
            )
        return tokenizer

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return int(self._decoder.vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, after a BOS if `add_bos`; special tokens become their ids."""
        if not self.legacy and text:
            text = _UNDERLINE + text.replace(_UNDERLINE, " ")
        parts = [part for part in _SPLIT.split(text) if part]
        if not self.legacy and len(parts) > 1 and parts[0] == _UNDERLINE:
            del parts[0]  # the prefix of a text that begins with a special token
        ids = [BOS] if self.add_bos else []
        for part in parts:
            ids += [SPECIAL[part]] if part in SPECIAL else self._encode_stretch(part)
        return ids

    def _encode_stretch(self, text: str) -> list[int]:
        if self.legacy or not text.startswith((_UNDERLINE, " ")):
            return list(self._pieces.encode(text))
        # SentencePiece keeps a leading space only after other text: add `<unk>`, then cut it off.
        return list(self._pieces.encode("<unk>" + text))[self._unk_pieces :]

    def decode(self, ids: list[int], *, skip_special: bool = True) -> str:
        """Return the text of `ids`; bytes that are no UTF-8 become U+FFFD."""
        if skip_special:
            return self._spelt([i for i in ids if i not in (UNK, BOS, EOS)])
        names = {number: piece for piece, number in SPECIAL.items()}
        text, run = "", list[int]()
        for number in ids:
            if number in names:
                text += self._spelt(run) + names[number]
                run = []
            else:
                run.append(number)
        return text + self._spelt(run)

    def _spelt(self, ids: list[int]) -> str:
        # A model may have more ids than its tokenizer (padded tables); those have no text.
        return str(self._decoder.decode([i for i in ids if i < self.vocab_size]))
