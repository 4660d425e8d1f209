"""The share of each pixel in a yes, for image tokens that are too coarse to show a location.

The image is compared with a blurred copy, in which all that is thinner than a patch is gone. Half-way
between the two, the gradient of log p(Yes) - log p(No) is taken and multiplied by their difference:
integrated gradients (Sundararajan and others, https://arxiv.org/abs/1703.01365) in one step. Since
patches see badly what lies on their borders, the gradient is the mean over nine positions of the image
under their grid, 0.3 of a patch apart.

Letters in shape comments: V nine positions, S edge of the pixels, C hidden size, L tokens to the image's
end, Q rows, K key-value heads, T new tokens, D channels of a head.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from workers.model.attribution.attention_attribution import NO_MEMORY, grid_edge
from workers.model.attribution.yes_no import Row, advantage
from workers.model.networks.language import KVCache
from workers.model.networks.multimodal import Multimodal, PrefixCache, read_behind

# Cells along an edge; across a chest, one cell is then as wide as a finger.
_FINE_ENOUGH: Final = 16
_BLUR: Final = 0.25  # of a patch's edge, the standard deviation
_MOVED: Final = 0.3  # of a patch's edge


def details(
    network: Multimodal,
    pixels: NDArray[np.float32],
    read: Sequence[int],
    questions: Sequence[tuple[Row, ...]],
) -> list[NDArray[np.float32] | None]:
    """Return the share of each pixel in the yes to each question, if the image tokens are coarse.

    Image and prompt are read once for all questions, each question once forward and once backward.

    Args:
        network: The network.
        pixels: float32 [1, channels, S, S], normalized.
        read: Ids of a prompt up to and including the image's sentinel.
        questions: The rows of each question, see `yes_no.rows`.

    Returns:
        float32 [S, S] for each question; None if the tokens are fine enough or form no grid, or
        memory is short.
    """
    grid = grid_edge(network.tokens_per_image)
    if not 0 < grid < _FINE_ENOUGH or not questions:
        return [None] * len(questions)
    try:
        return list(_details(network, pixels, read, questions, grid))
    except NO_MEMORY:
        return [None] * len(questions)


def _details(
    network: Multimodal,
    pixels: NDArray[np.float32],
    read: Sequence[int],
    questions: Sequence[tuple[Row, ...]],
    grid: int,
) -> Iterator[NDArray[np.float32]]:
    patch = pixels.shape[-1] / grid
    width = _BLUR * patch
    blurred = ndimage.gaussian_filter(pixels, (0, 0, width, width))  # type: ignore[attr-defined] # untyped
    gained = (pixels - blurred)[0]
    with torch.inference_mode(mode=False), torch.enable_grad():
        halfway = torch.from_numpy(blurred + (pixels - blurred) / 2)
        halfway = halfway.to(network.lm_head.weight.device).requires_grad_()
        images = network.image_tokens(_moved(halfway, round(_MOVED * patch)))
        embeds = torch.stack([network.splice(read, image[None]) for image in images])  # [V, L, C]
        seen = _Recorded()
        positions = torch.arange(embeds.shape[1], device=embeds.device).expand(len(embeds), -1)
        network.llama(embeds, positions, seen, embeds.shape[1])
        slopes = [_slope(network, halfway, seen, rows) for rows in questions]
    for slope in slopes:
        yield (gained * slope).sum(0)


def _moved(image: Tensor, by: int) -> Tensor:
    """Return an image [1, channels, S, S] at nine positions, [V, channels, S, S]; its border repeats."""
    size = image.shape[-1]
    places = [(torch.arange(size) + way).clamp(0, size - 1) for way in (-by, 0, by)]
    return torch.cat([image[:, :, rows][:, :, :, columns] for rows in places for columns in places])


def _slope(
    network: Multimodal, image: Tensor, seen: "_Recorded", rows: Sequence[Row]
) -> NDArray[np.float32]:
    """Return the gradient of the answer by each pixel, [channels, S, S]: the mean of all positions."""
    count, length = seen.layers[0][0].shape[0], seen.layers[0][0].shape[2]
    # The rows of one position stand `count` apart.
    repeated = [row for row in rows for _ in range(count)]
    logits = read_behind(
        network, PrefixCache(seen.layers), length, [row.ids[:-1] for row in repeated]
    )
    gains = [advantage(logits[place::count], rows).sum() for place in range(count)]
    (slope,) = torch.autograd.grad(torch.stack(gains).mean(), image, retain_graph=True)
    # NaN and infinity mark no place.
    found: NDArray[np.float32] = slope[0].nan_to_num(0.0, 0.0, 0.0).float().cpu().numpy()
    return found


class _Recorded(KVCache):
    """Keys and values of a sequence that is read in one pass, with their autograd graph.

    Attributes:
        layers: Keys and values [V, K, L, D] of each layer.
    """

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

    def update(
        self, layer: int, positions: Tensor, key: Tensor, value: Tensor, in_sight: int
    ) -> tuple[Tensor, Tensor]:
        """Store the new keys and values and return them."""
        del layer, positions, in_sight  # layers come in their order, once each
        self.layers.append((key.transpose(1, 2), value.transpose(1, 2)))
        return self.layers[-1]
