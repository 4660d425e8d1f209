"""The vision tower of CXR-LLaVA v2: a one-channel vision transformer with one token for each patch.

Attribute names are the checkpoint's tensor names, so the modules read as its table of contents.
Letters in shape comments: B images, P patches, W width, H heads, D channels of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from workers.model.config import VisionConfig


class Attention(nn.Module):
    """Every token attends to every token; q, k and v come from one fused projection."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * config.width, config.width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * config.width))
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed tokens, [B, 1+P, W] like `x`."""
        fused = F.linear(x, self.in_proj_weight, self.in_proj_bias)  # [B, 1+P, 3W]
        heads = fused.view(*x.shape[:2], 3, self.heads, -1)  # [B, 1+P, 3, H, D]
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [B, H, 1+P, D]
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two layers with the exact (erf) GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        hidden = int(config.width * config.mlp_ratio)
        self.c_fc = nn.Linear(config.width, hidden)
        self.c_proj = nn.Linear(hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 1+P, W] like `x`."""
        out: Tensor = self.c_proj(F.gelu(self.c_fc(x)))
        return out


class Block(nn.Module):
    """A pre-norm residual block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 1+P, W] like `x`."""
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class _Transformer(nn.Module):
    # Exists because the tensor names have this level.
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


class VisionTower(nn.Module):
    """Turns pixels into one token for each patch; the class token is dropped at the end.

    The checkpoint's CLIP head (`proj`) contributes nothing to these tokens; `VectorHead` holds it.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.width
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + config.tokens, width))
        self.conv1 = nn.Conv2d(1, width, config.patch_size, config.patch_size, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _Transformer(config)
        self.ln_post = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the patch tokens of normalized images.

        Args:
            pixels: [B, 1, S, S], S the configured image size.

        Returns:
            [B, P, W], row by row over the image.
        """
        return self.hidden(pixels)[:, 1:]

    def hidden(self, pixels: Tensor) -> Tensor:
        """Return class token and patch tokens [B, 1+P, W] of normalized images [B, 1, S, S]."""
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)  # [B, P, W]
        first = self.class_embedding.expand(len(patches), 1, -1)
        x = torch.cat([first, patches], dim=1) + self.positional_embedding  # [B, 1+P, W]
        x = self.transformer(self.ln_pre(x))
        tokens: Tensor = self.ln_post(x)  # of every token of the last block
        return tokens
