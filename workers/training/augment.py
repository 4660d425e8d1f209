"""Varies images without changing their labels: position, size, rotation, gray scale, grain."""

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

_LEAN: Final = math.radians(4)
_ZOOM: Final = 0.06
_SHIFT: Final = 0.06  # of half the image's edge
_MOVED: Final = 0.5  # share of the images that are moved
_GRAIN: Final = 0.02


def augment(gray: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images and masks, moved alike; the images' gray scale is changed too.

    Args:
        gray: float32 [B, 1, S, S] in 0..1.
        masks: float32 [B, 6, M, M] in 0..1.
        generator: Random generator of the changes.
    """
    turn = _turns(len(gray), generator)
    grid = F.affine_grid(turn, list(gray.shape), align_corners=False)
    moved = F.grid_sample(gray, grid, padding_mode="border", align_corners=False)
    grid = F.affine_grid(turn, list(masks.shape), align_corners=False)
    return _regraded(moved, generator), F.grid_sample(masks, grid, align_corners=False)


def _turns(count: int, generator: torch.Generator) -> Tensor:
    """Return float32 [B, 2, 3], the affine map from places of the new image to the old one."""
    amount = torch.rand(count, 4, generator=generator) * 2 - 1
    # Half of the images are not moved: moving blurs thin structures.
    amount *= torch.rand(count, 1, generator=generator) < _MOVED
    angle, zoom = amount[:, 0] * _LEAN, 1 + amount[:, 1] * _ZOOM
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    shift = amount[:, 2:] * _SHIFT
    return torch.stack(
        [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
    )


def _regraded(gray: Tensor, generator: torch.Generator) -> Tensor:
    amount = torch.rand(len(gray), 3, 1, 1, 1, generator=generator) * 2 - 1
    gamma = torch.exp(0.25 * amount[:, 0])
    contrast, brightness = 1 + 0.12 * amount[:, 1], 0.06 * amount[:, 2]
    level = gray.clamp(0, 1) ** gamma
    level = (level - 0.5) * contrast + 0.5 + brightness
    coarse = torch.rand(len(gray), 1, 1, 1, generator=generator) * _GRAIN
    grain = torch.randn(gray.shape, generator=generator) * coarse
    return (level + grain).clamp(0, 1)
