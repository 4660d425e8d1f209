"""Reads the images and prompts of new requests, a piece at a time.

The answers in progress wait for one piece at most until their next token. Once read, the requests get
rows beside them.
"""

from collections.abc import Generator, Sequence
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from workers.model.checkpoints.llava import Llava
from workers.model.engine.request import AnswerRequest, mark
from workers.model.errors import ModelError
from workers.model.networks.language import KVCache
from workers.model.networks.multimodal import Passage, branched
from workers.model.prompts import IMAGE_SENTINEL, Task

PIECE: Final = 1024  # tokens of all requests together

# Yields after each piece; returns the cache of the requests and their logits [B, V].
Pieces: TypeAlias = Generator[None, None, tuple[KVCache, Tensor]]


class Prefill:
    """Reads new requests with a model."""

    def __init__(self, model: Llava) -> None:
        self._model = model
        self._lead: tuple[list[int], Passage] | None = None

    def read(self, requests: Sequence[AnswerRequest]) -> Pieces:
        """Read requests together; a generator, so that the caller decides when to go on.

        Sets `image_tokens`, `image_vector`, `length`, `chances` and `heat` of each request. Returns a
        cache with a row for each of them, and the logits [B, V] after each.
        """
        network = self._model.network
        for request in requests:
            del request.marks[1:]  # left by an attempt that ran out of memory
        mark(requests)
        features = network.read_images(
            torch.cat([request.pixels for request in requests]).to(self._model.device)
        )
        images = features.tokens
        for request, vector in zip(requests, features.vectors, strict=True):
            request.image_vector = vector
        mark(requests)
        yield
        embeds = [
            network.splice(request.ids, image_tokens[None])
            for request, image_tokens in zip(requests, images, strict=True)
        ]
        for request, image_tokens, one in zip(requests, images, embeds, strict=True):
            request.image_tokens, request.length = image_tokens, len(one)
        rows = network.cache(rows=len(requests), slots=max(request.length for request in requests))
        hidden = yield from self._through(requests, embeds, rows)
        logits = network.lm_head(hidden).float()
        mark(requests)
        for row, request in enumerate(requests):
            if request.questions:
                yield
            self._ask(request, rows.some(row, row + 1))
        mark(requests)
        return rows, logits

    def _through(
        self, requests: Sequence[AnswerRequest], embeds: Sequence[Tensor], rows: KVCache
    ) -> Generator[None, None, Tensor]:
        """Read embeddings [N, C] of each row; return the hidden state [B, C] of each row's last."""
        shared = self._share(requests, rows)
        # Padding stands after a row's end, where no token of the row sees it.
        padded = pad_sequence([one[shared:] for one in embeds], batch_first=True)  # [B, T, C]
        ends = (
            torch.tensor([request.length for request in requests], device=padded.device)
            - shared
            - 1
        )
        last = torch.zeros_like(padded[:, 0])  # [B, C]
        width = max(1, PIECE // len(requests))
        for start in range(0, padded.shape[1], width):
            if start:
                yield
            piece = padded[:, start : start + width]
            first, stop = shared + start, shared + start + piece.shape[1]
            positions = torch.arange(first, stop, device=padded.device).expand(len(requests), -1)
            hidden = self._model.network.llama(piece, positions, rows, stop)
            here = (ends >= start) & (ends < start + width)
            last[here] = hidden[here, ends[here] - start]
        return last

    def _share(self, requests: Sequence[AnswerRequest], rows: KVCache) -> int:
        """Copy the tokens before the image to each row if all prompts share them; return how many."""
        if self._lead is None:
            ids = self._model.prompt_ids(self._model.chat(Task.REPORT))
            ids = ids[: ids.index(IMAGE_SENTINEL)]
            lead = Passage(self._model.network, slots=len(ids))
            lead.read(self._model.network.embed(ids))
            self._lead = (ids, lead)
        ids, lead = self._lead
        if any(request.ids[: len(ids)] != ids for request in requests):
            return 0
        rows.copy_prefix(lead.cache, len(ids))
        return len(ids)

    def _ask(self, request: AnswerRequest, row: KVCache) -> None:
        """Set the request's probabilities of yes and its heat maps."""

        def branch(length: int, suffixes: Sequence[Sequence[int]]) -> list[Tensor]:
            return branched(self._model.network, row, length, suffixes)

        try:
            request.chances = self._model.chances_behind(branch, request.ids, request.questions)
            request.heat = self._model.looked(
                request.pixels.numpy(), row, request.ids, request.questions, request.chances
            )
        except ModelError as error:
            request.fail(error)  # the other requests are not affected
