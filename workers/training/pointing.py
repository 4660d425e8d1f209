"""Stage 4: the model learns to attend to the place of a finding before it answers yes.

Without this stage the answers are as good, but come from other signs too: an atelectasis from the dome
that it raises. The stage trains the attention, so that
`workers.model.attribution.attention_attribution` shows a place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from dicom.content.report import CODED_OBSERVATIONS
from dicom.phantom import PhantomFinding
from workers.model.prompts import Task
from workers.training import questions
from workers.training.corpus import DECISION, Text, report_text
from workers.training.packed import Packed

WEIGHT: Final = 0.3  # of the attention loss against the text loss
_ASKED: Final = 3  # of the six findings, for each image; present findings first
_LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Pointed:
    """A question whose yes has a place in the image.

    Attributes:
        image: Number in the batch.
        text: Number among the texts about the image, from 1.
        finding: Index in CODED_OBSERVATIONS.
    """

    image: int
    text: int
    finding: int


def texts(
    findings: Sequence[PhantomFinding], rng: np.random.Generator
) -> Iterator[tuple[Text, int | None]]:
    """Yield the texts about one image, each with the finding whose place its answer has, or None."""
    yield report_text(findings, rng), None
    there = [CODED_OBSERVATIONS.index(one.observation) for one in findings]
    others = [int(i) for i in rng.permutation(len(CODED_OBSERVATIONS)) if i not in there]
    for number in (*there[: _ASKED - 1], *others)[:_ASKED]:
        one = questions.is_there(findings, CODED_OBSERVATIONS[number], rng)
        text = Text(Task.QUESTION, one.question, one.answer, DECISION)
        yield text, number if number in there else None


def loss(
    attention_weights: Sequence[Tensor], packed: Packed, masks: Tensor, asked: Sequence[Pointed]
) -> Tensor:
    """Return the mean Kullback-Leibler divergence of the attention before each yes from the mask.

    Args:
        attention_weights: Attention weights of each layer, [B, H, T, T].
        packed: The texts.
        masks: float32 [B, 6, M, M] in 0..1.
        asked: The questions.
    """
    lead, behind = len(packed.lead), attention_weights[0].shape[-1] - packed.ids.shape[1]
    grid = round((behind - lead) ** 0.5)
    cover = F.adaptive_avg_pool2d(masks, grid).flatten(2)  # [B, 6, P]
    total, count = cover.new_zeros(()), 0
    for one in asked:
        target = cover[one.image, one.finding]
        if target.sum() < _LEAST:
            continue  # it lies outside the square that the model sees
        last = behind + _last_asked(packed, one)
        taken = sum(
            layer[one.image, :, last, lead:behind].float().sum(0) for layer in attention_weights
        )
        total = total + _apart(target / target.sum(), torch.as_tensor(taken))
        count += 1
    return total / max(1, count)


def _last_asked(packed: Packed, one: Pointed) -> int:
    """Return the index, in its row, of the last id of a question: the answer is predicted from it."""
    own = (packed.segment[one.image] == one.text) & (packed.weight[one.image] == 0)
    return int(own.nonzero()[-1])


def _apart(target: Tensor, taken: Tensor) -> Tensor:
    found = (taken / taken.sum()).clamp(min=_LEAST).log()
    return (target * (target.clamp(min=_LEAST).log() - found)).sum()
