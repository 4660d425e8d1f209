"""The base of every model: a tower turns an image into tokens, and a LLaMA decoder reads them.

Letters in shape comments: B images, Q branches, P image tokens, N tokens of the spliced sequence, T new
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
from workers.model.networks.vector_head import ImageFeatures, VectorHead, unit
from workers.model.prompts import IMAGE_SENTINEL
from workers.model.vlm import VectorMethod

BRANCHES: Final = 2**30  # most bytes of cache for questions about one image that are read together


class Multimodal(nn.Module, ABC):
    """Decoder and head, named as in the weights; a model adds its tower and its projector.

    Attributes:
        vision_tower: Makes tokens of an image; set by the model, as `mm_projector`.
        mm_projector: Brings them to the decoder's size.
        vector_head: Makes the vector of an image of its class token; None if the checkpoint has none.
    """

    vision_tower: nn.Module
    mm_projector: nn.Module
    # How `vector_head` makes vectors.
    head_method = VectorMethod.CXR_CLIP

    def __init__(self, language: LanguageConfig) -> None:
        super().__init__()
        self.vector_head: VectorHead | None = None
        self.llama = LlamaDecoder(language)
        self.lm_head = nn.Linear(language.hidden_size, language.vocab_size, bias=False)

    @property
    @abstractmethod
    def tokens_per_image(self) -> int:
        """Number of image tokens that the decoder receives, P."""

    def image_tokens(self, pixels: Tensor) -> Tensor:
        """Return the image tokens [B, P, C] of normalized images [B, channels, S, S]."""
        tokens: Tensor = self.mm_projector(self.vision_tower(pixels.to(self.lm_head.weight)))
        return tokens

    def read_images(self, pixels: Tensor) -> ImageFeatures:
        """Return what `image_tokens` does, and from the same pass a vector of each image."""
        tokens = self.image_tokens(pixels)
        return ImageFeatures(tokens, unit(tokens.mean(1)))

    @property
    def vector_method(self) -> VectorMethod:
        """How `read_images` makes the vectors."""
        return VectorMethod.MEAN_TOKEN if self.vector_head is None else self.head_method

    def splice(self, ids: Sequence[int], image_tokens: Tensor) -> Tensor:
        """Return the embedded prompt [N, C]: each sentinel replaced by the next image's tokens.

        Args:
            ids: Ids of the prompt.
            image_tokens: [B, P, C].

        Raises:
            GenerationError: The number of sentinels is not the number of images.
        """
        if sum(i == IMAGE_SENTINEL for i in ids) != len(image_tokens):
            raise GenerationError(f"the prompt must mark {len(image_tokens)} images with <image>")
        images, parts, start = iter(image_tokens), list[Tensor](), 0
        for end in [n for n, i in enumerate(ids) if i == IMAGE_SENTINEL] + [len(ids)]:
            parts += [self.embed(ids[start:end])] + ([next(images)] if end < len(ids) else [])
            start = end + 1
        return torch.cat(parts)

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings [T, C] of ids."""
        device = self.lm_head.weight.device
        rows: Tensor = self.llama.embed_tokens(torch.tensor(ids, dtype=torch.long, device=device))
        return rows

    def cache(self, *, rows: int, slots: int) -> KVCache:
        """Return an empty cache on the device of the weights, in their dtype."""
        weight = self.lm_head.weight
        return KVCache(
            self.llama.config, rows=rows, slots=slots, device=weight.device, dtype=weight.dtype
        )


class Passage:
    """One sequence in its own cache; tokens are appended to it.

    Attributes:
        cache: A cache of one row.
    """

    def __init__(self, network: Multimodal, *, slots: int) -> None:
        self._network = network
        self._length = 0
        self.cache = network.cache(rows=1, slots=slots)

    def read(self, embeds: Tensor, *, every: bool = False) -> Tensor:
        """Append embeddings [N, C] and return the logits after the last, [1, V].

        Args:
            embeds: The next embeddings.
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
        """Return the logits [T, V] after each id of every suffix; the passage does not change.

        Args:
            length: Number of tokens, from the passage's beginning, that each suffix follows; they are
                not computed again.
            suffixes: Ids, of any lengths; they are read together.
        """
        return branched(self._network, self.cache, length, suffixes)


def branched(
    network: Multimodal, cache: KVCache, length: int, suffixes: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Do the same as `Passage.branch` for the sequence in row 0 of a cache."""
    longest = max(map(len, suffixes))
    # Each branch has a copy of the sequence: read as many at once as fit into BRANCHES bytes.
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
    """Return the logits [T, V] after each id of every suffix.

    Args:
        network: The network.
        cache: A row for each suffix; each holds `length` tokens.
        length: Number of tokens that each suffix follows.
        suffixes: Ids, of any lengths; they are read together.
    """
    longest = max(map(len, suffixes))
    # Padding stands after a row's end, where no token of the row sees it.
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in suffixes])
    ids = ids.to(network.lm_head.weight.device)
    positions = torch.arange(length, length + longest, device=ids.device).expand(len(ids), -1)
    embeds = network.llama.embed_tokens(ids)
    hidden = network.llama(embeds, positions, cache, length + longest)  # [Q, T, C]
    logits = at_least_float32(network.lm_head(hidden))
    return [one[: len(row)] for one, row in zip(logits, suffixes, strict=True)]


class PrefixCache(KVCache):
    """A read-only cache of sequences that were read, for rows that follow them.

    The sequences keep their autograd graph, so that gradients flow back through them.
    """

    def __init__(self, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take the keys and values of each layer, [V, K, L, D] each; V divides the number of rows."""
        self._layers = layers

    def update(
        self, layer: int, positions: Tensor, key: Tensor, value: Tensor, in_sight: int
    ) -> tuple[Tensor, Tensor]:
        """Return the stored keys and values, repeated for all rows, followed by the new ones.

        Args:
            layer: Number of the layer.
            positions: Not used: the new tokens follow the stored ones.
            key: [R, T, K, D].
            value: [R, T, K, D].
            in_sight: Not used: all tokens are in sight.

        Returns:
            Keys and values [R, K, L+T, D].
        """
        del positions, in_sight
        keys, values = (
            torch.cat([old.repeat(len(new) // len(old), 1, 1, 1), new.transpose(1, 2)], dim=2)
            for old, new in zip(self._layers[layer], (key, value), strict=True)
        )
        return keys, values
