"""The vision tower of LLaVA-Rad: BiomedCLIP-CXR, a DINOv2-shaped transformer over color patches.

Attribute names are timm's, which the checkpoint uses.
Letters in shape comments: B images, P patches, W width, H heads, D channels of a head.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

EPS: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerConfig:
    """Sizes in pixels and channels.

    Attributes:
        select: Which hidden state the language model receives, counted from the end: -1 is the last
            block's output, -2 the one before.
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    select: int

    @property
    def tokens(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size) ** 2


class Attention(nn.Module):
    """Every token attends to every token."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 1+P, W] like `x`."""
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # [B, 1+P, 3, H, D]
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [B, H, 1+P, D]
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two layers with the exact (erf) GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 1+P, W] like `x`."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class LayerScale(nn.Module):
    """One learned factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor like `x`."""
        return x * self.gamma


class Block(nn.Module):
    """A pre-norm residual block whose two contributions are scaled."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=EPS)
        self.attn = Attention(config)
        self.ls1 = LayerScale(config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = Mlp(config.width)
        self.ls2 = LayerScale(config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 1+P, W] like `x`."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class _PatchEmbed(nn.Module):
    # Exists because the tensor names have this level.
    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(pixels).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Dinov2Tower(nn.Module):
    """Turns pixels into one token for each patch: an inner hidden state, without the final norm."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self._last = config.layers + 1 + config.select
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + config.tokens, config.width))
        self.patch_embed = _PatchEmbed(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def embedded(self, pixels: Tensor) -> Tensor:
        """Return class token and patches [B, 1+P, W] of images [B, 3, S, S], positions embedded."""
        first = self.cls_token.expand(len(pixels), -1, -1)
        return torch.cat([first, self.patch_embed(pixels)], dim=1) + self.pos_embed

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the patch tokens [B, P, W] of normalized images [B, 3, S, S], row by row."""
        return self.selected(pixels)[:, 1:]

    def selected(self, pixels: Tensor) -> Tensor:
        """Return the selected hidden state [B, 1+P, W] of normalized images [B, 3, S, S]."""
        x = self.embedded(pixels)
        for block in self.blocks[: self._last]:
            x = block(x)
        return x

    def last(self, selected: Tensor) -> Tensor:
        """Return the last block's output [B, 1+P, W] from the selected hidden state."""
        x = selected
        for block in self.blocks[self._last :]:
            x = block(x)
        return x
