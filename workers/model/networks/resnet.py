"""The vision tower of CXR-LLaVA v1: CLIP's ResNet, whose attention pool gives one vector an image.

Attribute names are open_clip's, which the checkpoint uses.
Letters in shape comments: B images, C channels, G edge of the last feature map, H heads, D channels of
a head.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

_EXPANSION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetConfig:
    """Sizes in pixels, channels and blocks, and the gray scale that the tower was trained on."""

    image_size: int
    layers: tuple[int, int, int, int]
    width: int
    output: int
    mean: float
    std: float

    @property
    def features(self) -> int:
        """Channels of the last feature map."""
        return 8 * _EXPANSION * self.width

    @property
    def heads(self) -> int:
        """Heads of the attention pool."""
        return self.features // 64

    @property
    def grid(self) -> int:
        """Edge of the last feature map."""
        return self.image_size // 32


class BatchNorm(nn.Module):
    """Batch normalization with the statistics of the training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.running_mean = nn.Parameter(torch.empty(channels))
        self.running_var = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor like `x` [B, C, rows, columns]."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """A residual block; an average pool before the last convolution does the stride."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = _EXPANSION * width
        self.conv1 = _convolution(before, width, 1)
        self.bn1 = BatchNorm(width)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = BatchNorm(width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = _convolution(width, after, 1)
        self.bn3 = BatchNorm(after)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            parts = (("-1", pool), ("0", _convolution(before, after, 1)), ("1", BatchNorm(after)))
            self.downsample = nn.Sequential(OrderedDict(parts))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, 4 x width, rows / stride, columns / stride]."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.pool(out)))
        return F.relu(out + self.downsample(x))


class AttentionPool(nn.Module):
    """The mean of a feature map attends to all its places; the result is the image's vector."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        channels = config.features
        self.heads = config.heads
        self.positional_embedding = nn.Parameter(torch.empty(config.grid**2 + 1, channels))
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, config.output)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, output] of a feature map [B, C, G, G]."""
        places = x.flatten(2).transpose(1, 2)  # [B, GG, C]
        x = torch.cat([places.mean(1, keepdim=True), places], dim=1) + self.positional_embedding
        q, k, v = (
            one.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, 1 or 1+GG, D]
            for one in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))
        )
        gathered = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.c_proj(gathered[:, 0])
        return out


class ResNetTower(nn.Module):
    """Turns pixels into one vector."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        width = config.width
        self.conv1 = _convolution(3, width // 2, 3, stride=2)
        self.bn1 = BatchNorm(width // 2)
        self.conv2 = _convolution(width // 2, width // 2, 3)
        self.bn2 = BatchNorm(width // 2)
        self.conv3 = _convolution(width // 2, width, 3)
        self.bn3 = BatchNorm(width)
        before = width
        for number, blocks in enumerate(config.layers):
            inner = width * 2**number
            strides = [2 if number else 1] + [1] * (blocks - 1)
            stack = nn.Sequential()
            for stride in strides:
                stack.append(Bottleneck(before, inner, stride))
                before = _EXPANSION * inner
            self.add_module(f"layer{number + 1}", stack)
        self.attnpool = AttentionPool(config)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the one token [B, 1, output] of each normalized image [B, 3, S, S]."""
        x = F.relu(self.bn1(self.conv1(pixels)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
        token: Tensor = self.attnpool(x)
        return token[:, None]
