"""Makes one vector of an image, in the space of the CLIP model whose image tower a model has.

Letters in shape comments: B images, P patches, W width of the tower, D length of a vector.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What one pass of the image tower gives.

    Attributes:
        tokens: [B, P, C], the image tokens that the decoder receives.
        vectors: float32 [B, D] of length 1.
    """

    tokens: Tensor
    vectors: Tensor


class VectorHead(nn.Module):
    """The end of a CLIP image tower: norm and projection of the class token.

    Its tensors are buffers outside of the state dict: a checkpoint is complete without them.
    """

    def __init__(self, projection: Tensor, norm: nn.LayerNorm | None = None) -> None:
        """Take the projection [W, D], and the norm before it if there is one."""
        super().__init__()
        self.register_buffer("projection", projection, persistent=False)
        self._norm = None if norm is None else (tuple(norm.normalized_shape), norm.eps)
        for name in ("weight", "bias"):
            value = None if norm is None else getattr(norm, name).detach()
            self.register_buffer(f"norm_{name}", value, persistent=False)

    def forward(self, class_tokens: Tensor) -> Tensor:
        """Return vectors [B, D] of length 1 of class tokens [B, W]."""
        projection: Tensor = self.get_buffer("projection")
        x = class_tokens.to(projection)
        if self._norm is not None:
            shape, eps = self._norm
            x = F.layer_norm(
                x, shape, self.get_buffer("norm_weight"), self.get_buffer("norm_bias"), eps
            )
        return unit(x @ projection)


def unit(vectors: Tensor) -> Tensor:
    """Return vectors [B, D] with length 1, at least float32; a vector of zeros stays as it is."""
    exact = vectors if vectors.dtype is torch.float64 else vectors.float()
    return F.normalize(exact, dim=-1)
