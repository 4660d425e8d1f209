"""Quantizes the decoder's weights to 8 or 4 bits with bitsandbytes (extra `quantised`).

Only projections of the layers: embeddings, norms, head, projector and image tower keep their format.
"""

import importlib
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from workers.model.errors import DeviceError
from workers.model.placement import Place

LIBRARY: Final = "bitsandbytes"
# LLM.int8(): channels with larger activations are multiplied in 16 bits.
_OUTLIERS: Final = 6.0


def quantize(decoder: nn.Module, place: Place) -> None:
    """Replace each linear layer of `decoder`, on the CPU, with a quantized one on the place's device.

    Raises:
        DeviceError: The library is not installed.
    """
    try:
        layers = importlib.import_module(f"{LIBRARY}.nn")
    except ImportError:
        raise DeviceError(
            f"quantisation {place.quantisation!r} needs {LIBRARY}: install wetread[quantised]"
        ) from None
    make = _eight_bit if place.quantisation == "int8" else _four_bit
    linear = [
        (parent, name, child)
        for parent in decoder.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    for parent, name, child in linear:
        # The move to a device packs the weights; this is so for the CPU too.
        setattr(parent, name, make(layers, child, place.dtype).to(place.device))


def _eight_bit(layers: ModuleType, linear: nn.Linear, dtype: torch.dtype) -> nn.Module:
    del dtype  # int8 layers take the dtype of their activations
    sizes: dict[str, Any] = {
        "bias": False,
        "has_fp16_weights": False,
        "threshold": _OUTLIERS,
        "device": "meta",
    }
    made: nn.Module = layers.Linear8bitLt(linear.in_features, linear.out_features, **sizes)
    made.weight = layers.Int8Params(linear.weight.data, requires_grad=False, has_fp16_weights=False)
    return made


def _four_bit(layers: ModuleType, linear: nn.Linear, dtype: torch.dtype) -> nn.Module:
    sizes: dict[str, Any] = {
        "bias": False,
        "compute_dtype": dtype,
        "quant_type": "nf4",
        "device": "meta",
    }
    made: nn.Module = layers.Linear4bit(linear.in_features, linear.out_features, **sizes)
    made.weight = layers.Params4bit(linear.weight.data, requires_grad=False, quant_type="nf4")
    return made
