"""Heat maps of a model's yes over its image tokens, from its own attention and gradients.

The model answers a question from the values of the image tokens that every layer keeps in the cache. How
much each head took of each token, weighted by how much that moved "Yes" against "No", is the gradient of
log p(Yes) - log p(No) with respect to these values, times the values: attention times its gradient, in
the manner of Chefer and others (https://arxiv.org/abs/2103.15679). Image and prompt are not read again:
only the question is, once forward and once backward.

Letters in shape comments: N layers, Q rows, K key-value heads, L tokens kept, T new tokens, D channels
of a head, P image tokens, G edge of their grid.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from workers.model.attribution.yes_no import Row, advantage
from workers.model.networks.language import KVCache
from workers.model.networks.multimodal import Multimodal, PrefixCache, read_behind

# Fewer cells give no location: CXR-LLaVA v1 has one token for the whole image.
_FEWEST: Final = 4
NO_MEMORY: Final = (MemoryError, torch.OutOfMemoryError)


def grid_edge(tokens: int) -> int:
    """Return the edge of the grid of the image tokens; 0 if they form none, or one too coarse."""
    edge = math.isqrt(tokens)
    return edge if edge * edge == tokens and edge >= _FEWEST else 0


def heat_maps(
    network: Multimodal, cache: KVCache, lead: int, questions: Sequence[tuple[Row, ...]]
) -> list[NDArray[np.float32] | None]:
    """Return the heat map of a yes to each question, or None if memory is short.

    Args:
        network: The network.
        cache: Row 0 begins with `lead` tokens and the image tokens.
        lead: Number of tokens before the image.
        questions: The rows of each question, see `yes_no.rows`.

    Returns:
        float32 [G, G], 0 or more, for each question; None also if the image tokens form no grid.
    """
    edge = grid_edge(network.tokens_per_image)
    if not edge or not questions:
        return [None] * len(questions)
    try:
        heat = _heat(network, cache, lead, questions)
    except NO_MEMORY:
        if len(questions) == 1:
            return [None]
        middle = len(questions) // 2
        return [
            *heat_maps(network, cache, lead, questions[:middle]),
            *heat_maps(network, cache, lead, questions[middle:]),
        ]
    return [one.reshape(edge, edge) for one in heat]


def _heat(
    network: Multimodal, cache: KVCache, lead: int, questions: Sequence[tuple[Row, ...]]
) -> NDArray[np.float32]:
    """Return float32 [questions, P]."""
    rows = [row for question in questions for row in question]
    image = slice(lead, lead + network.tokens_per_image)
    # Tensors from inference mode cannot take part in autograd; their copies can.
    with torch.inference_mode(mode=False), torch.enable_grad():
        keys = cache.keys[:, :1, :, : image.stop].clone()  # [N, 1, K, L, D]
        values = cache.values[:, :1, :, : image.stop].expand(-1, len(rows), -1, -1, -1)
        kept = values.clone().requires_grad_()  # [N, Q, K, L, D]
        seen = PrefixCache(list(zip(keys, kept, strict=True)))
        logits = read_behind(network, seen, image.stop, [row.ids[:-1] for row in rows])
        (slope,) = torch.autograd.grad(advantage(logits, rows).sum(), kept)
        taken = (slope * kept)[:, :, :, image].detach().float().sum(-1)  # [N, Q, K, P]
    # Sum over the answers; drop what opposed the yes; sum over layers and heads: [questions, P].
    answers = len(rows) // len(questions)
    heat = taken.view(taken.shape[0], -1, answers, *taken.shape[2:]).sum(2).clamp(min=0).sum((0, 2))
    # NaN and infinity mark no place.
    found: NDArray[np.float32] = heat.nan_to_num(0.0, 0.0, 0.0).cpu().numpy()
    return found
