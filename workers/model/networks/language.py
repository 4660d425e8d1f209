"""The LLaMA decoder, written for ragged batches over a cache of fixed size.

A token's position is also its slot in its row's cache, and it sees the slots up to its own. So rows
of different lengths share a step without padding masks: what a padded row writes beyond its end is
never seen and later overwritten. Attribute names are the checkpoint's tensor names.
Letters in shape comments: B rows, T new tokens, C hidden size, H heads, K key-value heads, D channels
of a head, L slots in sight.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from workers.model.config import LanguageConfig


class KVCache:
    """Keys and values of every layer, allocated once for `rows` sequences of `slots` tokens."""

    def __init__(
        self,
        config: LanguageConfig,
        *,
        rows: int,
        slots: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (config.layers, rows, config.kv_heads, slots, config.head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self._config = config
        self._rows = torch.arange(rows, device=device)[:, None]  # [B, 1], beside positions [B, T]

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.keys.shape[1]

    @property
    def slots(self) -> int:
        """Number of tokens that a row can hold."""
        return self.keys.shape[3]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return (self.keys.nbytes + self.values.nbytes) // self.count

    def some(self, start: int, stop: int) -> "KVCache":
        """Return the rows from `start` to before `stop` as a cache that shares their memory."""
        part = object.__new__(KVCache)
        part.keys, part.values = self.keys[:, start:stop], self.values[:, start:stop]
        part._config, part._rows = self._config, self._rows[: stop - start]
        return part

    def resized(self, *, rows: int, slots: int) -> "KVCache":
        """Return a larger cache that begins with the content of this one."""
        keys = self.keys
        other = KVCache(self._config, rows=rows, slots=slots, device=keys.device, dtype=keys.dtype)
        other.some(0, self.count).copy_from(self)
        return other

    def move(self, source: int, target: int, length: int) -> None:
        """Overwrite the first `length` slots of row `target` with those of row `source`."""
        self.keys[:, target, :, :length] = self.keys[:, source, :, :length]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]

    def clear(self) -> None:
        """Fill every slot with zeros: unseen slots may hold any finite value, but no NaN or infinity."""
        self.keys.zero_()
        self.values.zero_()

    def repeated(self, length: int, *, rows: int, slots: int) -> "KVCache":
        """Return another cache whose `rows` rows all begin with the first `length` slots of row 0."""
        keys = self.keys
        other = KVCache(self._config, rows=rows, slots=slots, device=keys.device, dtype=keys.dtype)
        other.copy_prefix(self, length)
        return other

    def copy_from(self, other: "KVCache") -> None:
        """Overwrite the first slots of the rows with another cache of as many rows and no more slots."""
        self.keys[:, :, :, : other.slots] = other.keys
        self.values[:, :, :, : other.slots] = other.values

    def copy_prefix(self, other: "KVCache", length: int) -> None:
        """Overwrite the first `length` slots of every row with those of row 0 of another cache."""
        self.keys[:, :, :, :length] = other.keys[:, :1, :, :length]
        self.values[:, :, :, :length] = other.values[:, :1, :, :length]

    def update(
        self, layer: int, positions: Tensor, key: Tensor, value: Tensor, in_sight: int
    ) -> tuple[Tensor, Tensor]:
        """Write new keys and values [B, T, K, D] at `positions` and return the first slots.

        Returns:
            Keys and values [B, K, in_sight, D], views of the cache.
        """
        self.keys[layer][self._rows, :, positions] = key
        self.values[layer][self._rows, :, positions] = value
        return self.keys[layer, :, :, :in_sight], self.values[layer, :, :, :in_sight]


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` as float32, or unchanged if it is float64, so that a model can run in float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class RMSNorm(nn.Module):
    """Scale to unit root mean square, in float32 at least whatever the model's dtype."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor like `x`."""
        wide = at_least_float32(x)
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return torch.mul(self.weight, wide.to(x.dtype))


def rotary(config: LanguageConfig, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the rotary angles, each [B, T, 1, D], for `positions` [B, T]."""
    exponent = (
        torch.arange(0, config.head_dim, 2, device=positions.device).float() / config.head_dim
    )
    angles = positions[..., None].float() * (1.0 / config.rope_theta**exponent)  # [B, T, D/2]
    angles = torch.cat([angles, angles], dim=-1)[:, :, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return `x` [B, T, heads, D] turned by the angles: first and second half of D are the pairs."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    """Causal attention over the cache."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.grouped = config.kv_heads != config.heads
        inner, shared = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, shared, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, shared, bias=False)
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, x: Tensor, layer: int, step: "StepInput") -> Tensor:
        """Return [B, T, C] like `x`; the new keys and values are in the cache afterwards."""
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_dim))
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # [B, T, H or K, D]
        q, k = rotate(q, step.cos, step.sin), rotate(k, step.cos, step.sin)
        keys, values = step.cache.update(layer, step.positions, k, v, step.in_sight)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2), keys, values, attn_mask=step.mask, enable_gqa=self.grouped
        )  # [B, H, T, D]
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """The SiLU-gated feed-forward layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, T, C] like `x`."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """A pre-norm residual layer."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor, layer: int, step: "StepInput") -> Tensor:
        """Return [B, T, C] like `x`."""
        x = x + self.self_attn(self.input_layernorm(x), layer, step)
        # Not in place: the backward pass needs the input of the norm.
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class StepInput:
    """What all layers of one forward pass share.

    Attributes:
        positions: int64 [B, T], the slot of each new token.
        in_sight: Number of slots that are attended to, see `LlamaDecoder.forward`.
        mask: bool [B, 1, T, L], or None where one new token of one row sees every slot.
    """

    def __init__(
        self,
        config: LanguageConfig,
        cache: KVCache,
        positions: Tensor,
        in_sight: int,
        dtype: torch.dtype,
        *,
        masked: bool,
    ) -> None:
        self.cache = cache
        self.positions = positions
        self.in_sight = in_sight
        self.cos, self.sin = rotary(config, positions, dtype)
        self.mask: Tensor | None = None
        if masked or positions.numel() > 1:
            slots = torch.arange(in_sight, device=positions.device)
            self.mask = slots <= positions[:, None, :, None]


class LlamaDecoder(nn.Module):
    """Token embeddings, layers and final norm; the head that gives logits is not part of it."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        # Weights are given: drawing random ones on the meta device would import much more of torch.
        table = torch.empty(config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, _weight=table)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        cache: KVCache,
        in_sight: int,
        *,
        masked: bool = False,
    ) -> Tensor:
        """Return the hidden states of new tokens and leave their keys and values in `cache`.

        Args:
            embeds: [B, T, C].
            positions: int64 [B, T]; in each row counting up from what the cache already holds.
            cache: For B rows.
            in_sight: The highest position of any row plus one, or more; passed in, because reading it
                from `positions` would wait for the device.
            masked: `in_sight` is larger, so that even one new token of one row needs a mask.

        Returns:
            [B, T, C].
        """
        step = StepInput(self.config, cache, positions, in_sight, embeds.dtype, masked=masked)
        for number, layer in enumerate(self.layers):
            embeds = layer(embeds, number, step)
        hidden: Tensor = self.norm(embeds)
        return hidden
