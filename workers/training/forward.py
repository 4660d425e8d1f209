"""The model's own layers, run for training: nothing in place, no cache, several texts an image.

`workers.model` computes the same for reading; tests compare the two.
Letters in shape comments: B images, P patches, W width, H heads, D channels of a head, T tokens of a
packed sequence, N of them after the image, C hidden size.
"""

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the customary name

from workers.model.checkpoints.cxr_llava import Network
from workers.model.networks import language, vision
from workers.model.networks.language import LlamaDecoder, rotary, rotate
from workers.model.networks.vision import VisionTower
from workers.training.packed import Packed

if TYPE_CHECKING:
    from collections.abc import Iterable


def patch_tokens(tower: VisionTower, pixels: Tensor) -> Tensor:
    """Return [B, P, W] of normalized images [B, 1, S, S], as `VisionTower.forward` does."""
    patches = tower.conv1(pixels).flatten(2).transpose(1, 2)  # [B, P, W]
    first = tower.class_embedding.expand(len(patches), 1, -1).to(patches.dtype)
    x = torch.cat([first, patches], dim=1) + tower.positional_embedding  # [B, 1+P, W]
    x = tower.ln_pre(x)
    for block in cast("Iterable[vision.Block]", tower.transformer.resblocks):
        x = x + _mixed_patches(block.attn, block.ln_1(x))
        x = x + block.mlp(block.ln_2(x))
    tokens: Tensor = tower.ln_post(x)
    return tokens[:, 1:]


def _mixed_patches(attention: vision.Attention, x: Tensor) -> Tensor:
    fused = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)  # [B, 1+P, 3W]
    heads = fused.view(*x.shape[:2], 3, attention.heads, -1)  # [B, 1+P, 3, H, D]
    out: Tensor = attention.out_proj(_attended(*heads.permute(2, 0, 3, 1, 4)))
    return out


def _attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    unseen: Tensor | None = None,
    attention_weights: list[Tensor] | None = None,
) -> Tensor:
    """Return scaled dot-product attention, [B, T, H x D], of q, k, v [B, H, T, D].

    Written out: the fused kernels' backward pass takes several times as long on a CPU at these sizes.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        unseen: bool [B, 1, T, T], True where a token (row) must not see another (column).
        attention_weights: If given, the attention weights [B, H, T, T] are appended to it.
    """
    q, k, v = (one.contiguous() for one in (q, k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
    if unseen is not None:
        scores = scores.masked_fill(unseen, -torch.inf)
    shares = scores.softmax(-1)
    if attention_weights is not None:
        attention_weights.append(shares)
    gathered: Tensor = shares.to(v.dtype) @ v
    return gathered.transpose(1, 2).flatten(2)


def decoded(
    llama: LlamaDecoder,
    x: Tensor,
    positions: Tensor,
    unseen: Tensor,
    attention_weights: list[Tensor] | None = None,
) -> Tensor:
    """Return the hidden states [B, T, C] of embeddings `x`.

    Args:
        llama: The decoder.
        x: [B, T, C].
        positions: int64 [B, T], positions of the rotary embedding.
        unseen: bool [B, 1, T, T], True where a token (row) must not see another (column).
        attention_weights: If given, each layer's attention weights [B, H, T, T] are appended to it.
    """
    cos, sin = rotary(llama.config, positions, x.dtype)
    for layer in cast("Iterable[language.Layer]", llama.layers):
        x = x + _mixed_tokens(
            layer.self_attn, layer.input_layernorm(x), (cos, sin), unseen, attention_weights
        )
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    hidden: Tensor = llama.norm(x)
    return hidden


def _mixed_tokens(
    attention: language.Attention,
    x: Tensor,
    turn: tuple[Tensor, Tensor],
    unseen: Tensor,
    attention_weights: list[Tensor] | None,
) -> Tensor:
    q, k, v = (
        project(x).unflatten(-1, (-1, attention.head_dim))
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )  # [B, T, heads, D]
    q, k = (rotate(one, *turn).to(v.dtype) for one in (q, k))
    mixed = _attended(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), unseen, attention_weights
    )
    out: Tensor = attention.o_proj(mixed)
    return out


def text_hidden(
    network: Network, images: Tensor, texts: Packed, attention_weights: list[Tensor] | None = None
) -> Tensor:
    """Return the hidden states [B, N, C] of the texts, which follow lead and image.

    Args:
        network: The network.
        images: [B, P, W], patch tokens.
        texts: The texts about each image.
        attention_weights: If given, each layer's attention weights [B, H, T, T] are appended to it.
    """
    shown = network.mm_projector(images)  # [B, P, C]
    embed = network.llama.embed_tokens
    lead = embed(texts.lead).expand(len(images), -1, -1)
    x = torch.cat([lead, shown.to(lead.dtype), embed(texts.ids)], dim=1)  # [B, T, C]
    behind = x.shape[1] - texts.ids.shape[1]
    positions, unseen = texts.layout(before=behind)
    return decoded(network.llama, x, positions, unseen, attention_weights)[:, behind:]
