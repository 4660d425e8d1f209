"""From logits to text: the choice of a token, the rule that ends an answer, the loop between them."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from workers.model.errors import Cancelled, GenerationError
from workers.model.tokenizer import EOS, Tokenizer
from workers.model.vlm import Decoding, never

_STOP_TEXT: Final = "</s>"
_STOP_WINDOW: Final = 3  # ids that may spell the stop text


def filtered(logits: Tensor, decoding: Decoding) -> Tensor:
    """Return `logits` [V] with what must not be sampled at -inf: temperature, top_k, top_p in turn."""
    scores = logits.float() / decoding.temperature
    kept = min(decoding.top_k, scores.numel())
    if kept > 0:
        scores = scores.masked_fill(scores < scores.topk(kept).values[-1], -torch.inf)
    if decoding.top_p < 1.0:
        ascending, order = scores.sort()
        rare = ascending.softmax(0).cumsum(0) <= 1.0 - decoding.top_p
        rare[-1] = False  # the likeliest always stays
        scores = scores.masked_fill(torch.zeros_like(rare).scatter(0, order, rare), -torch.inf)
    return scores


class Chooser:
    """Chooses one token after another, each answer from its own seed."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        # On the CPU, so that a seed means the same on every device.
        self._generator = torch.Generator().manual_seed(decoding.seed)

    def __call__(self, logits: Tensor) -> int:
        """Return the next id for `logits` [V].

        Raises:
            GenerationError: The logits are not finite.
        """
        best, index = logits.max(dim=-1)
        if not torch.isfinite(best).item():
            raise GenerationError("the model computed logits that are not finite")
        if self._decoding.greedy:
            return int(index)
        chances = filtered(logits.cpu(), self._decoding).softmax(0)
        return int(torch.multinomial(chances, 1, generator=self._generator))


def ends(ids: list[int], tokenizer: Tokenizer) -> bool:
    """Return whether an answer is over: `</s>` as an id, or spelt out by its last pieces.

    The published generation settings name no end-of-sequence id, so this rule is ours to apply.
    """
    if not ids:
        return False
    return ids[-1] == EOS or _STOP_TEXT in tokenizer.decode(ids[-_STOP_WINDOW:], skip_special=False)


def generate(
    first_logits: Tensor,
    step: Callable[[int], Tensor],
    tokenizer: Tokenizer,
    decoding: Decoding,
    cancelled: Callable[[], bool] = never,
) -> list[int]:
    """Return the new ids of one answer, `</s>` included where the model said it.

    Args:
        first_logits: [V], after the prompt.
        step: Takes the id just chosen and returns the logits [V] that follow it.
        tokenizer: Spells ids for the stop rule.
        decoding: How tokens are chosen and how many.
        cancelled: Asked before every token.

    Raises:
        Cancelled: The caller withdrew.
        GenerationError: Logits are not finite.
    """
    choose, logits, ids = Chooser(decoding), first_logits, list[int]()
    while True:
        if cancelled():
            raise Cancelled("the answer is no longer wanted")
        ids.append(choose(logits))
        if len(ids) >= decoding.max_new_tokens or ends(ids, tokenizer):
            return ids
        logits = step(ids[-1])
