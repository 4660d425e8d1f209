"""Extends the rows of one batch with the library's `generate`, each by its own rules.

`generate` runs the network, its caches and its masks. A logits processor chooses the token of each row,
and a stopping criterion ends each row, so that no row depends on the settings of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from workers.model.automodel.collate import collated
from workers.model.automodel.library import GenerationConfig
from workers.model.automodel.rows import Row
from workers.model.errors import GenerationError
from workers.model.networks import generate

NOT_FINITE = "the model computed logits that are not finite"


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Ids that no answer contains.

    Attributes:
        pad: Fills the beginning of shorter prompts.
        placeholders: Stand in a prompt where images, videos or sound do.
    """

    pad: int
    placeholders: tuple[int, ...]


class _Chooser(LogitsProcessor):
    """Chooses the next token of each row, and leaves `generate` no other."""

    def __init__(
        self, rows: Sequence[Row], special: SpecialIds, interrupt: Callable[[], bool]
    ) -> None:
        self._rows = rows
        self._special = special
        self._interrupt = interrupt
        self.stopped = False

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> Any:  # noqa: ANN401 - as in the library
        """Return scores [B, V] of which only the chosen id of each row is possible."""
        del input_ids
        chosen = [self._special.pad] * len(self._rows)
        # A row that is read again must not hold more places for images than it has images.
        scores[:, list(self._special.placeholders)] = -torch.inf
        # On a GPU, `generate` runs a step more than needed, whose tokens do not count.
        for number in self._extended(scores) if not self.stopped else ():
            chosen[number] = self._rows[number].writing.ids[-1]
        self.stopped = self.stopped or self._interrupt()
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(1, torch.tensor(chosen, device=scores.device)[:, None], 0.0)

    def _extended(self, scores: Tensor) -> list[int]:
        """Append the next id to each open row; return the numbers of the rows that got one."""
        live = [n for n, row in enumerate(self._rows) if row.open and not row.withdrawn()]
        if not live:
            return []
        logits = scores[live]
        for number, one in zip(live, logits, strict=True):
            row = self._rows[number]
            row.mark(2)
            if row.question is not None and not row.writing.ids:
                row.chance = row.question.chance(one.float())
        finite = generate.extend([self._rows[number].writing for number in live], logits.float())
        for number, good in zip(live, finite, strict=True):
            if not good:
                self._rows[number].fail(GenerationError(NOT_FINITE))
        return [number for number, good in zip(live, finite, strict=True) if good]


class _Ended(StoppingCriteria):
    """Ends each row when it is complete, and all rows when the batch is interrupted."""

    def __init__(self, rows: Sequence[Row], chooser: _Chooser) -> None:
        self._rows = rows
        self._chooser = chooser

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Any:  # noqa: ANN401 - as in the library
        """Return bool [B]: which rows are over."""
        del scores, kwargs
        over = [self._chooser.stopped or not row.open for row in self._rows]
        return torch.tensor(over, device=input_ids.device)


def extend_batch(
    network: Any,  # noqa: ANN401 - any model class of the library
    rows: Sequence[Row],
    special: SpecialIds,
    interrupt: Callable[[], bool],
) -> None:
    """Extend every row until it is complete, or until the batch is interrupted.

    Args:
        network: A model of the library, in evaluation mode.
        rows: Open rows; ids that they have written are read again with their prompts.
        special: Ids that no answer contains.
        interrupt: Called after each token; True ends the batch where it is.
    """
    inputs = collated(
        [row.prompt.tensors for row in rows], [row.writing.ids for row in rows], special.pad
    )
    left = max(row.writing.decoding.max_new_tokens - len(row.writing.ids) for row in rows)
    chooser = _Chooser(rows, special, interrupt)
    network.generate(
        **{name: _placed(tensor, network) for name, tensor in inputs.items()},
        # Without an end-of-sequence id: a row ends by its own rule.
        generation_config=GenerationConfig(
            max_new_tokens=left,
            do_sample=False,
            num_beams=1,
            pad_token_id=special.pad,
            use_cache=True,
        ),
        logits_processor=LogitsProcessorList([chooser]),
        stopping_criteria=StoppingCriteriaList([_Ended(rows, chooser)]),
    )


@torch.inference_mode()
def first_logits(network: Any, rows: Sequence[Row], pad_id: int) -> Tensor:  # noqa: ANN401 - any model class of the library
    """Return the logits float32 [B, V] after the prompts of a batch."""
    inputs = collated([row.prompt.tensors for row in rows], [() for _ in rows], pad_id)
    made = network.generate(
        **{name: _placed(tensor, network) for name, tensor in inputs.items()},
        generation_config=GenerationConfig(
            max_new_tokens=1, do_sample=False, num_beams=1, pad_token_id=pad_id,
            output_logits=True, return_dict_in_generate=True,
        ),
    )  # fmt: skip
    logits: Tensor = made.logits[0].float()
    return logits


def _placed(tensor: Tensor, network: Any) -> Tensor:  # noqa: ANN401 - any model class of the library
    dtype = network.dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.to(device=network.device, dtype=dtype)
