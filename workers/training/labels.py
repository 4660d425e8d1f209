"""Stage 1: the image encoder learns the six findings, their sides, extents and places from labels.

The heads are discarded afterwards; the encoder keeps that each patch's token represents its content.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from dicom.content.report import CODED_OBSERVATIONS, Side
from workers.training.images import Plan

_SIDES: Final = (Side.RIGHT, Side.LEFT)
_MASK_WEIGHT: Final = 4.0
# For the six findings: thin plates and small patches are learned last.
_EMPHASIS: Final = (2.5, 1.0, 1.5, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of images as numbers.

    Attributes:
        present: float32 [N, 6], 1 if a finding is present.
        sides: float32 [N, 6, 2], 1 if it is present on the right, on the left.
        extent: float32 [N, 6] in 0..1, 0 if it is not present.
    """

    present: Tensor
    sides: Tensor
    extent: Tensor

    def of(self, index: Tensor) -> "Labels":
        """Return the labels of some images."""
        return Labels(self.present[index], self.sides[index], self.extent[index])


def labels(plans: Sequence[Plan]) -> Labels:
    """Return the labels of planned images."""
    present = np.zeros((len(plans), len(CODED_OBSERVATIONS)), np.float32)
    sides = np.zeros((len(plans), len(CODED_OBSERVATIONS), 2), np.float32)
    extent = np.zeros((len(plans), len(CODED_OBSERVATIONS)), np.float32)
    for row, plan in enumerate(plans):
        for finding in plan.findings:
            column = CODED_OBSERVATIONS.index(finding.observation)
            present[row, column] = 1
            extent[row, column] = finding.extent
            sides[row, column] = [finding.side in (side, Side.BILATERAL) for side in _SIDES]
    return Labels(*(torch.from_numpy(array) for array in (present, sides, extent)))


class Heads(nn.Module):
    """Predicts the cover of each finding from each token; presence, sides, extent from all tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cover = nn.Linear(width, len(CODED_OBSERVATIONS))
        self.whole = nn.Linear(
            2 * width, 4 * len(CODED_OBSERVATIONS)
        )  # present, right, left, extent

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [B, P, 6] and [B, 4, 6] of tokens [B, P, W]."""
        pooled = torch.cat([tokens.mean(1), tokens.amax(1)], dim=1)
        return self.cover(tokens), self.whole(pooled).unflatten(1, (4, len(CODED_OBSERVATIONS)))


def loss(heads: Heads, tokens: Tensor, truth: Labels, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss, and the logits [B, 6] that each finding is present.

    Args:
        heads: The heads of stage 1.
        tokens: [B, P, W].
        truth: The labels of these images.
        masks: float32 [B, 6, M, M] in 0..1.
    """
    cover, whole = heads(tokens)
    cover, whole = cover.float(), whole.float()
    grid = round(tokens.shape[1] ** 0.5)
    # The fullest cell of a patch counts, because plates of atelectasis are thin.
    target = F.adaptive_max_pool2d(masks, grid).flatten(2).transpose(1, 2)  # [B, P, 6]
    weight = torch.tensor(_EMPHASIS)
    total = _MASK_WEIGHT * F.binary_cross_entropy_with_logits(cover, target, weight)
    total = total + F.binary_cross_entropy_with_logits(whole[:, 0], truth.present, weight)
    sides = truth.sides.transpose(1, 2)
    total = total + F.binary_cross_entropy_with_logits(whole[:, 1:3], sides, weight)
    total = total + (truth.present * (whole[:, 3].sigmoid() - truth.extent) ** 2).mean()
    return total, whole[:, 0]
