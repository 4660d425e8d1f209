"""A text as a vector in the space of image vectors, by numpy: the text tower of BiomedCLIP-CXR.

The reading worker exports the tower's weights as one safetensors file and its vocabulary beside it
(`workers.reading.text_tower`). They are mapped, not read: the web process loads no torch and keeps no
copy.
Letters in shape comments: T tokens, W width, H heads.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from service.errors import VectorFileDamaged
from service.search.vector_file import ADVICE, FOLDER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WEIGHTS: Final = "text.safetensors"
VOCABULARY: Final = "vocab.txt"
_LONGEST_HEADER: Final = 2**20
_CONTEXT: Final = 256  # tokens
_HEAD_WIDTH: Final = 64
_EPS: Final = 1e-12
_LONGEST_WORD: Final = 100  # characters; a longer one is unknown
_UNKNOWN, _BEGIN, _END = "[UNK]", "[CLS]", "[SEP]"
_FIRST: Final = "embeddings."


def tower_folder(data_dir: Path, space: str) -> Path:
    """Return the folder of the exported text tower of a vector space."""
    return data_dir / FOLDER / f"{space}.text"


class NumpyTextTower:
    """An exported text tower; threads may share it."""

    def __init__(self, weights: "dict[str, Floats]", words: Sequence[str], heads: int) -> None:
        self._weights = weights
        self._ids = {word: number for number, word in enumerate(words)}
        self._heads = heads
        self._layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.")})

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Return the tower that was exported to a folder.

        Raises:
            VectorFileDamaged: A file cannot be read or has another layout.
        """
        path = folder / WEIGHTS
        try:
            weights, heads = _mapped(path)
            words = (folder / VOCABULARY).read_text(encoding="utf-8").splitlines()
            tower = cls(weights, words, heads)
            tower.vector("")
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise VectorFileDamaged(f"{path}: is no text tower; {ADVICE}") from error
        return tower

    def vector(self, text: str) -> "Floats":
        """Return the vector float32 [D], of length 1, of a text; only its first 256 tokens count."""
        import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

        ids = self._tokens(text)
        x = self._embedded(ids)  # [T, W]
        for number in range(self._layers):
            x = self._layer(x, f"encoder.layer.{number}")
        inner = _gelu(x[0] @ self._weights["proj.0.weight"].T)
        vector = inner @ self._weights["proj.2.weight"].T
        found: Floats = (vector / np.linalg.norm(vector)).astype(np.float32)
        return found

    def _tokens(self, text: str) -> list[int]:
        longest = min(_CONTEXT, len(self._weights[f"{_FIRST}position_embeddings.weight"]))
        pieces = [piece for word in basic_words(text) for piece in self._pieces(word)]
        chosen = [_BEGIN, *pieces[: longest - 2], _END]
        return [self._ids.get(piece, self._ids[_UNKNOWN]) for piece in chosen]

    def _pieces(self, word: str) -> list[str]:
        """Return the longest known pieces of a word, one after the other (WordPiece)."""
        pieces: list[str] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self._ids), None)
            if end is None:
                return [_UNKNOWN]
            pieces.append(prefix + word[start:end])
            start = end
        return pieces or [_UNKNOWN]

    def _embedded(self, ids: Sequence[int]) -> "Floats":
        weights = self._weights
        words = weights[f"{_FIRST}word_embeddings.weight"][list(ids)]
        places = weights[f"{_FIRST}position_embeddings.weight"][: len(ids)]
        kinds = weights[f"{_FIRST}token_type_embeddings.weight"][0]
        return self._normed(words + places + kinds, f"{_FIRST}LayerNorm")

    def _layer(self, x: "Floats", name: str) -> "Floats":
        import numpy as np  # noqa: PLC0415 - as above

        q, k, v = (self._split(x, f"{name}.attention.self.{part}") for part in _PARTS)
        scores = q @ k.swapaxes(1, 2) / np.float32(q.shape[2] ** 0.5)  # [H, T, T]
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ v  # [H, T, W/H]
        joined = mixed.swapaxes(0, 1).reshape(x.shape)
        attended = self._linear(joined, f"{name}.attention.output.dense")
        x = self._normed(x + attended, f"{name}.attention.output.LayerNorm")
        inner = _gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._normed(
            x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _split(self, x: "Floats", name: str) -> "Floats":
        """Return a projection of x by heads, [H, T, W/H]."""
        return self._linear(x, name).reshape(len(x), self._heads, -1).swapaxes(0, 1)

    def _linear(self, x: "Floats", name: str) -> "Floats":
        found: Floats = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return found

    def _normed(self, x: "Floats", name: str) -> "Floats":
        import numpy as np  # noqa: PLC0415 - as above

        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + np.float32(_EPS))
        found: Floats = scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return found


_PARTS: Final = ("query", "key", "value")


def _gelu(x: "Floats") -> "Floats":
    """Return the exact GELU of each value."""
    import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays
    from scipy.special import erf  # noqa: PLC0415 - likewise

    return x * np.float32(0.5) * (1 + erf(x / np.float32(2**0.5)))  # type: ignore[no-any-return]


def basic_words(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case without accents; each mark of punctuation is a word."""
    plain = unicodedata.normalize("NFD", text.lower())
    for chunk in plain.split():
        word = ""
        for character in chunk:
            category = unicodedata.category(character)
            if (
                category == "Mn"
                or category in ("Cc", "Cf")
                or character == "\N{REPLACEMENT CHARACTER}"
            ):
                continue
            if _is_mark(character, category):
                yield from ([word] if word else [])
                yield character
                word = ""
            else:
                word += character
        yield from ([word] if word else [])


def _is_mark(character: str, category: str) -> bool:
    # As BERT's tokenizer: all of ASCII that is no letter or digit, and punctuation.
    is_ascii = character.isascii() and not character.isalnum()
    return is_ascii or category.startswith("P")


def _mapped(path: Path) -> "tuple[dict[str, Floats], int]":
    """Return the float32 tensors of a safetensors file by name, mapped, and the number of heads."""
    import numpy as np  # noqa: PLC0415 - a process that only starts needs no arrays

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= _LONGEST_HEADER:
            raise ValueError("the header is too long")
        header = json.loads(file.read(length))
    content = np.memmap(path, np.uint8, "r", offset=8 + length)
    heads = int(header.pop("__metadata__", {}).get("heads", 0))
    weights = {}
    for name, described in header.items():
        if described["dtype"] != "F32":
            raise ValueError(f"{name} is not float32")
        start, stop = described["data_offsets"]
        weights[name] = content[start:stop].view("<f4").reshape(described["shape"])
    width = weights[f"{_FIRST}word_embeddings.weight"].shape[1]
    return weights, heads or max(1, width // _HEAD_WIDTH)
