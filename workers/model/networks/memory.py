"""Estimates whether a model fits into memory, before anything is allocated."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import psutil
import torch
from torch import nn

from workers.model.errors import DeviceError
from workers.model.networks.multimodal import BRANCHES, Multimodal
from workers.model.placement import QUANTISED, Place

TOGETHER: Final = 4  # images that are read at once
_PROMPT: Final = 256  # tokens of text around an image, indication and question included
_SLOTS: Final = 64  # tokens by which a cache grows
_QUESTIONS: Final = 16  # rows asked at once, one for yes and one for no
_FLOOR: Final = 64 * 2**20  # bytes of the library itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes on the device.

    Attributes:
        weights: The weights in their stored format.
        cache: Keys and values of all answers that are written at once.
        working: Temporary tensors of one pass: an estimate.
    """

    weights: int
    cache: int
    working: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.working


def slots(network: Multimodal, new_tokens: int) -> int:
    """Return the number of slots of a row: for an image, its prompt and an answer."""
    length = network.tokens_per_image + _PROMPT + new_tokens
    longest = network.llama.config.max_positions
    return rounded(min(length, longest))


def rounded(tokens: int) -> int:
    """Return `tokens` rounded up to the next multiple of `_SLOTS`."""
    return -(-tokens // _SLOTS) * _SLOTS


def need(network: Multimodal, place: Place) -> Need:
    """Return the memory that `network`, which may be on the meta device, needs in `place`."""
    language, item = network.llama.config, place.dtype.itemsize
    length = slots(network, place.new_tokens)
    kept = 2 * language.layers * language.kv_heads * language.head_dim * item  # bytes of a token
    read = min(place.rows, TOGETHER) * (network.tokens_per_image + _PROMPT)
    # Gate, up and their product; the residual, its norm in float32, queries, keys, values and a sum.
    pass_ = read * item * (3 * language.intermediate_size + 10 * language.hidden_size)
    logits = 3 * place.rows * language.vocab_size * torch.float32.itemsize
    branches = min(BRANCHES, _QUESTIONS * kept * length)
    return Need(
        weights=_weights(network, place),
        cache=place.rows * length * kept,
        working=_FLOOR + pass_ + read * kept + logits + branches,
    )


def free(device: torch.device) -> int:
    """Return the bytes that can be allocated on `device` now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)  # type: ignore[no-untyped-call]


def check(network: Multimodal, place: Place) -> None:
    """Check that `network` will fit.

    Raises:
        DeviceError: It will not; the message states how much is needed and free, and what would fit.
    """
    required, available = need(network, place), free(place.device)
    if required.total <= available:
        return
    fitting = (one for one in _smaller(place) if need(network, one).total <= available)
    advice = next(map(_suggestion, fitting), "it does not fit in any supported number format")
    raise DeviceError(
        f"{place.device}: the model needs {gb(required.total)} as {place.format} "
        f"({gb(required.weights)} of weights, {gb(required.cache)} for {place.rows} answers at once, "
        f"{gb(required.working)} to work with), {gb(available)} are free; {advice}"
    )


def _weights(network: Multimodal, place: Place) -> int:
    every = sum(weight.numel() for weight in network.parameters())
    if place.quantisation == "none":
        return every * place.dtype.itemsize
    packed = sum(
        layer.weight.numel()
        for layer in network.llama.layers.modules()
        if isinstance(layer, nn.Linear)
    )
    return int(packed * QUANTISED[place.quantisation]) + (every - packed) * place.dtype.itemsize


def _smaller(place: Place) -> Iterator[Place]:
    """Yield places that need less memory, those with the smallest loss first."""
    half = torch.bfloat16 if place.dtype is torch.float32 else place.dtype
    for dtype in dict.fromkeys((place.dtype, half)):
        for rows in range(place.rows, 0, -1):
            yield replace(place, dtype=dtype, rows=rows)
    if place.quantisation == "none":
        yield from (replace(place, dtype=half, quantisation=bits, rows=1) for bits in QUANTISED)


def _suggestion(place: Place) -> str:
    return f"as {place.format} it would fit with {place.rows} at once"


def gb(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size / 1e9:.1f} GB"
