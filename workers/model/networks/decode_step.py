"""The step that gives every row of a cache one token: eager, or compiled for a few fixed sizes."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from workers.model.networks.language import KVCache
from workers.model.networks.multimodal import Multimodal

_SIZES: Final = 8  # most compiled graphs that torch keeps of one function


def next_logits(
    network: Multimodal, cache: KVCache, last: Tensor, in_sight: int, *, masked: bool = False
) -> Tensor:
    """Return the logits [B, V], float32, after the last id of each row.

    Args:
        network: The network with its weights.
        cache: A cache of B rows.
        last: int64 [B, 2], each row's last id and its position.
        in_sight: Number of slots that are attended to: at least the highest position plus one.
        masked: `in_sight` may be larger than that.
    """
    embeds = network.llama.embed_tokens(last[:, :1])  # [B, 1, C]
    hidden = network.llama(embeds, last[:, 1:], cache, in_sight, masked=masked)
    logits: Tensor = network.lm_head(hidden[:, 0]).float()
    return logits


class CompiledStep:
    """`next_logits` for one cache, compiled; on CUDA its kernels are replayed as one graph.

    Rows are padded to a power of two and every slot is in sight, so that there are few shapes. An idle
    row writes to its first slot; the next request that gets the row overwrites that.
    """

    def __init__(self, network: Multimodal, cache: KVCache) -> None:
        self._network = network
        self._cache = cache
        for tensor in (cache.keys, cache.values):
            torch._dynamo.mark_static_address(tensor)  # noqa: SLF001 - as transformers' static cache
        replayed = cache.keys.device.type == "cuda"
        self._step = torch.compile(
            next_logits,
            dynamic=False,
            fullgraph=True,
            mode="reduce-overhead" if replayed else "default",
        )

    @property
    def sizes(self) -> list[int]:
        """The compiled numbers of rows: powers of two, and all rows."""
        most = self._cache.count
        powers = [1 << power for power in range(most.bit_length()) if 1 << power < most]
        return [*powers[-(_SIZES - 1) :], most]

    def __call__(self, last: Tensor) -> Tensor:
        """Return the logits [B, V] after the last ids and positions [B, 2] of the first B rows."""
        size = next(size for size in self.sizes if size >= len(last))
        filled = F.pad(last, (0, 0, 0, size - len(last)))
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        rows = self._cache.some(0, size)
        logits = self._step(self._network, rows, filled, self._cache.slots, masked=True)
        return logits[: len(last)]
