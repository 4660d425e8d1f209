"""What every model here has: a tower that turns a film into tokens, and a LLaMA decoder that reads them.

Letters in shape comments: B films, Q branches, P image tokens, N tokens of the spliced sequence, T new
tokens, C hidden size, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from workers.model.config import LanguageConfig
from workers.model.errors import GenerationError
from workers.model.networks.language import KVCache, LlamaDecoder, at_least_float32
from workers.model.prompts import IMAGE_SENTINEL

BRANCHES: Final = 2**30  # bytes of cache that questions behind one film may take together


class Multimodal(nn.Module, ABC):
    """Decoder and head under the names of the weights; a model adds its tower and its projector."""

    def __init__(self, language: LanguageConfig) -> None:
        super().__init__()
        self.llama = LlamaDecoder(language)
        self.lm_head = nn.Linear(language.hidden_size, language.vocab_size, bias=False)

    @property
    @abstractmethod
    def film_tokens(self) -> int:
        """How many tokens the decoder is shown of a film, P."""

    @abstractmethod
    def image_tokens(self, pixels: Tensor) -> Tensor:
        """Return [B, P, C], what the decoder is shown of normalised films [B, channels, S, S]."""

    def splice(self, ids: Sequence[int], image_tokens: Tensor) -> Tensor:
        """Return the embedded prompt [N, C]: each sentinel replaced by the next film's tokens.

        Raises:
            GenerationError: The prompt does not mark as many films as there are.
        """
        if sum(i == IMAGE_SENTINEL for i in ids) != len(image_tokens):
            raise GenerationError(f"the prompt must mark {len(image_tokens)} films with <image>")
        films, parts, start = iter(image_tokens), list[Tensor](), 0
        for end in [n for n, i in enumerate(ids) if i == IMAGE_SENTINEL] + [len(ids)]:
            parts += [self.embed(ids[start:end])] + ([next(films)] if end < len(ids) else [])
            start = end + 1
        return torch.cat(parts)

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings [T, C] of ids."""
        device = self.lm_head.weight.device
        rows: Tensor = self.llama.embed_tokens(torch.tensor(ids, dtype=torch.long, device=device))
        return rows

    def cache(self, *, rows: int, slots: int) -> KVCache:
        """Return an empty cache where the weights are, in their dtype."""
        weight = self.lm_head.weight
        return KVCache(
            self.llama.config, rows=rows, slots=slots, device=weight.device, dtype=weight.dtype
        )


class Passage:
    """One sequence in a cache of its own, growing at its end.

    Attributes:
        cache: Of one row.
    """

    def __init__(self, network: Multimodal, *, slots: int) -> None:
        self._network = network
        self._length = 0
        self.cache = network.cache(rows=1, slots=slots)

    def read(self, embeds: Tensor, *, every: bool = False) -> Tensor:
        """Append embeddings [N, C] and return the logits after the last, [1, V].

        Args:
            embeds: What comes next.
            every: Return the logits after each of them instead, [N, V].
        """
        start, self._length = self._length, self._length + len(embeds)
        positions = torch.arange(start, self._length, device=embeds.device)[None]
        hidden = self._network.llama(embeds[None], positions, self.cache, self._length)[0]
        logits: Tensor = self._network.lm_head(hidden if every else hidden[-1:])
        return at_least_float32(logits)

    def step(self, token: int) -> Tensor:
        """Append one id and return the logits [V] that follow it."""
        return self.read(self._network.embed([token]))[0]

    def branch(self, length: int, suffixes: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the logits [T, V] behind each id of every suffix; the passage stays as it is.

        Args:
            length: Each suffix stands behind so many tokens from the passage's beginning, which are
                not computed again.
            suffixes: Ids, of different numbers; they are read together.
        """
        return branched(self._network, self.cache, length, suffixes)


def branched(
    network: Multimodal, cache: KVCache, length: int, suffixes: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Return what `Passage.branch` does, for the sequence in row 0 of a cache."""
    longest = max(map(len, suffixes))
    # Each branch has a copy of the sequence: as many at once as take no more than this.
    together = max(1, BRANCHES // (cache.row_bytes // cache.slots * (length + longest)))
    return [
        logits
        for first in range(0, len(suffixes), together)
        for logits in _branched(network, cache, length, suffixes[first : first + together])
    ]


def _branched(
    network: Multimodal, cache: KVCache, length: int, suffixes: Sequence[Sequence[int]]
) -> list[Tensor]:
    longest = max(map(len, suffixes))
    branches = cache.repeated(length, rows=len(suffixes), slots=length + longest)
    return read_behind(network, branches, length, suffixes)


def read_behind(
    network: Multimodal, cache: KVCache, length: int, suffixes: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Return the logits [T, V] behind each id of every suffix.

    Args:
        network: The model.
        cache: A row for each suffix; each holds `length` tokens.
        length: Each suffix stands behind so many tokens.
        suffixes: Ids, of different numbers; they are read together.
    """
    longest = max(map(len, suffixes))
    # What fills up a row stands behind its end, where nothing of it looks.
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in suffixes])
    ids = ids.to(network.lm_head.weight.device)
    positions = torch.arange(length, length + longest, device=ids.device).expand(len(ids), -1)
    embeds = network.llama.embed_tokens(ids)
    hidden = network.llama(embeds, positions, cache, length + longest)  # [Q, T, C]
    logits = at_least_float32(network.lm_head(hidden))
    return [one[: len(row)] for one, row in zip(logits, suffixes, strict=True)]


class Behind(KVCache):
    """Sequences that were read, for rows that stand behind them; nothing new is kept.

    Where gradients are taken, what was read keeps the tape on which it was computed.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take of each layer the keys and the values, [V, K, L, D] each; V divides the rows behind."""
        self._layers = layers

    def update(
        self, layer: int, positions: Tensor, key: Tensor, value: Tensor, in_sight: int
    ) -> tuple[Tensor, Tensor]:
        """Return what was read, repeated for all rows, and behind it the new keys and values.

        Args:
            layer: Number.
            positions: They stand behind what was read, all of it in sight.
            key: [R, T, K, D].
            value: [R, T, K, D].
            in_sight: As `positions`.

        Returns:
            Keys and values [R, K, L+T, D].
        """
        del positions, in_sight
        keys, values = (
            torch.cat([old.repeat(len(new) // len(old), 1, 1, 1), new.transpose(1, 2)], dim=2)
            for old, new in zip(self._layers[layer], (key, value), strict=True)
        )
        return keys, values
