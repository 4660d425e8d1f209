"""Merges a LoRA adapter, as peft saves it, into the weights of a loaded network."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from workers.model.config import CONFIG_FAULTS, read_json, refuse, unusable
from workers.model.errors import CheckpointError
from workers.model.files.weights import WeightFiles

WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
_PREFIX: Final = "base_model.model."
_PARTS: Final = (".lora_A.weight", ".lora_B.weight")
# What would change the arithmetic, with the only value that is implemented.
_FIXED: Final[dict[str, Any]] = {
    "peft_type": "LORA",
    "bias": "none",
    "lora_bias": False,
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "use_dora": False,
    "rank_pattern": None,
    "alpha_pattern": None,
    "layer_replication": None,
}
# Names of modules in files of older releases of the library -> their names in the network.
_RENAMED: Final = (
    (re.compile(r"^language_model\.model\."), "model.language_model."),
    (re.compile(r"^language_model\.lm_head"), "lm_head"),
    (re.compile(r"^(vision_tower|visual|vision_model|multi_modal_projector|connector)\."), r"model.\1."),
    (re.compile(r"^model\.(?=layers\.|embed_tokens)"), "model.language_model."),
    (re.compile(r"^model\.(?=layers\.|embed_tokens)"), "model.text_model."),
)  # fmt: skip


@torch.no_grad()
def merge(network: nn.Module, folder: Path) -> None:
    """Add the adapter in `folder` to the weights of `network`: scale x B A, computed in float32.

    Raises:
        CheckpointError: A file is missing, it asks for arithmetic that is not implemented, or it adapts
            a layer that the network does not have or that is not linear.
    """
    scale = _scale(folder / CONFIG)
    for name, (narrow, wide) in _pairs(folder / WEIGHTS).items():
        layer = _layer(network, name, folder)
        weight = layer.weight
        if (wide.shape[0], narrow.shape[1]) != tuple(weight.shape):
            raise CheckpointError(
                f"{folder}: {name} is adapted with {tuple(wide.shape)} x {tuple(narrow.shape)}, but the "
                f"checkpoint's weight is {tuple(weight.shape)}: is it another model's adapter?"
            )
        change = (wide.float() @ narrow.float()) * scale
        merged = weight.float() + change.to(weight.device)
        layer.weight = nn.Parameter(merged.to(weight.dtype), requires_grad=False)


def files(folder: Path) -> WeightFiles:
    """Return the adapter's weight file.

    Raises:
        CheckpointError: There is none.
    """
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"{folder}: {WEIGHTS} is missing: is it the folder of a LoRA adapter?"
        )
    return WeightFiles((folder / WEIGHTS,))


def _scale(path: Path) -> float:
    settings = read_json(path)
    try:
        refuse("adapter", settings, _FIXED)
        rank = int(settings["r"])
        root = rank**0.5 if settings.get("use_rslora") is True else rank
        return float(settings["lora_alpha"]) / root
    except CONFIG_FAULTS as error:
        raise unusable(path, error) from None


def _pairs(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the factors (A [r, in], B [out, r]) of each adapted layer."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in files(path.parent).tensors():
        part = next((end for end in _PARTS if name.endswith(end)), None)
        if part is None or not name.startswith(_PREFIX):
            raise CheckpointError(f"{path}: {name} is no part of a LoRA adapter of linear layers")
        found.setdefault(name.removeprefix(_PREFIX).removesuffix(part), {})[part] = tensor
    for name, parts in found.items():
        if len(parts) != len(_PARTS):
            raise CheckpointError(f"{path}: {name} has one factor only")
    if not found:
        raise CheckpointError(f"{path}: holds no tensors")
    return {name: (parts[_PARTS[0]], parts[_PARTS[1]]) for name, parts in found.items()}


def _layer(network: nn.Module, name: str, folder: Path) -> nn.Linear:
    modules = dict(network.named_modules())
    for candidate in _candidates(name):
        found = modules.get(candidate)
        if isinstance(found, nn.Linear):
            return found
    raise CheckpointError(
        f"{folder}: adapts {name}, which is no linear layer of the checkpoint: is it another model's "
        "adapter?"
    )


def _candidates(name: str) -> Iterator[str]:
    yield name
    for old, new in _RENAMED:
        if old.search(name):
            yield old.sub(new, name)
