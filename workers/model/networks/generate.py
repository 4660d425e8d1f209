"""Turns logits into ids: the choice of a token, the rule that ends an answer, the decoding loop."""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from workers.model.errors import Canceled, GenerationError
from workers.model.tokenizer import EOS, Tokenizer
from workers.model.vlm import Decoding, never

_STOP_TEXT: Final = "</s>"
_STOP_WINDOW: Final = 3  # ids that may spell the stop text


def filtered(logits: Tensor, decoding: Decoding) -> Tensor:
    """Apply temperature, top_k and top_p in turn to `logits` [V]; excluded ids become -inf."""
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


def ends(ids: list[int], tokenizer: Tokenizer) -> bool:
    """Return whether an answer is over: `</s>` as an id, or spelled out by its last pieces.

    The published generation settings name no end-of-sequence id, so we apply this rule ourselves.
    """
    if not ids:
        return False
    return ids[-1] == EOS or _STOP_TEXT in tokenizer.decode(ids[-_STOP_WINDOW:], skip_special=False)


class Writing:
    """One answer while it is written, with the settings that choose its next token.

    Attributes:
        ids: The ids written so far.
        scores: The log-probability that the model gave each of them, before any filter.
    """

    def __init__(self, decoding: Decoding, over: Callable[[list[int]], bool]) -> None:
        self.decoding = decoding
        self.ids: list[int] = []
        self.scores: list[float] = []
        self._over = over
        # On the CPU, so that a seed gives the same draws on every device.
        self._generator = torch.Generator().manual_seed(decoding.seed)

    @property
    def done(self) -> bool:
        """Whether the answer has ended or reached its bound."""
        return len(self.ids) >= self.decoding.max_new_tokens or self._over(self.ids)

    def sampled(self, logits: Tensor) -> int:
        """Return an id drawn from `logits` [V]."""
        chances = filtered(logits.cpu(), self.decoding).softmax(0)
        return int(torch.multinomial(chances, 1, generator=self._generator))


def extend(writings: Sequence[Writing], logits: Tensor) -> list[bool]:
    """Append the next id to each answer; return for each whether its logits were finite.

    Args:
        writings: B answers; one whose logits are not finite stays as it is.
        logits: [B, V], float32.
    """
    highest, likeliest = logits.max(-1)
    total = logits.logsumexp(-1)
    # One transfer from the device for the whole batch.
    tops, sums, ids = torch.stack([highest, total, likeliest.to(highest)]).double().tolist()
    finite = torch.isfinite(highest).tolist()
    for row, one in enumerate(writings):
        if not finite[row]:
            continue
        greedy = one.decoding.greedy
        token = int(ids[row]) if greedy else one.sampled(logits[row])
        score = tops[row] - sums[row] if greedy else float(logits[row, token]) - sums[row]
        one.ids.append(token)
        one.scores.append(score)
    return finite


def generate(
    first_logits: Tensor,
    step: Callable[[int], Tensor],
    writing: Writing,
    canceled: Callable[[], bool] = never,
) -> None:
    """Write one answer to its end, including `</s>` if the model wrote it.

    Args:
        first_logits: [V], after the prompt.
        step: Takes the id just chosen and returns the logits [V] that follow it.
        writing: The empty answer.
        canceled: Called before every token; True ends the answer.

    Raises:
        Canceled: `canceled` returned True.
        GenerationError: Logits are not finite.
    """
    logits = first_logits
    while True:
        if canceled():
            raise Canceled("the request was withdrawn")
        if not extend([writing], logits[None])[0]:
            raise GenerationError("the model computed logits that are not finite")
        if writing.done:
            return
        logits = step(writing.ids[-1])
