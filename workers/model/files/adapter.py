"""LLaVA-Rad's weights from its published files: base, low-rank adapter, projector and image tower.

Nothing is unpacked to disk and no text encoder is needed: the tensors are renamed, merged and yielded
one at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from workers.model.config import CONFIG_FAULTS, read_json, refuse, unusable
from workers.model.errors import CheckpointError
from workers.model.files.weights import WeightFiles

ADAPTER: Final = "adapter_model.bin"
ADAPTER_CONFIG: Final = "adapter_config.json"
PROJECTOR: Final = "non_lora_trainables.bin"
_TRUNK: Final = "module.visual.trunk."
_NORM_WEIGHT: Final = f"{_TRUNK}norm.weight"
_NORM_BIAS: Final = f"{_TRUNK}norm.bias"
_HEAD: Final = "module.visual.head.proj.weight"
_ADAPTED: Final = "base_model.model."
_PARTS: Final = (".lora_A.weight", ".lora_B.weight")
_FIXED: Final[dict[str, Any]] = {
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "use_rslora": False,
    "use_dora": False,
    "rank_pattern": None,
    "alpha_pattern": None,
}


@dataclass(frozen=True, slots=True)
class TowerEnd:
    """The end of BiomedCLIP's image tower: norm [W], and projection [D, W] without bias."""

    norm_weight: Tensor
    norm_bias: Tensor
    projection: Tensor


@dataclass(frozen=True, slots=True)
class AdaptedFiles:
    """The weight files of an adapted model: base, adapter, projector and image tower.

    Attributes:
        base: Files of the language model.
        folder: Folder of the adapter and the projector.
        tower: Training checkpoint of the image tower; only the tower's part is used.
    """

    base: WeightFiles
    folder: Path
    tower: Path

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each tensor that the network needs, with the network's name for it, on the CPU.

        Raises:
            CheckpointError: A file is missing, truncated or of another format, or the adapter does not
                fit the base.
        """
        yield from self._language()
        for name, tensor in _read(self.folder / PROJECTOR):
            yield name.removeprefix(_ADAPTED).removeprefix("model."), tensor
        for name, tensor in _read(self.tower):
            if name.startswith(_TRUNK):
                yield f"vision_tower.{name.removeprefix(_TRUNK)}", tensor

    def tower_end(self) -> TowerEnd | None:
        """Return norm and projection of the class token; None if the file of the tower has none.

        Raises:
            CheckpointError: The file is missing, truncated or of another format.
        """
        names = (_NORM_WEIGHT, _NORM_BIAS, _HEAD)
        found = WeightFiles((self.tower,)).some(names)
        if len(found) != len(names):
            return None
        return TowerEnd(*(found[name] for name in names))

    def sha256(self) -> str:
        """Return the digest over all files; see `WeightFiles.sha256`."""
        own = (self.folder / ADAPTER, self.folder / PROJECTOR, self.tower)
        return WeightFiles((*self.base.paths, *own)).sha256()

    def _language(self) -> Iterator[tuple[str, Tensor]]:
        pairs, scale = self._pairs(), _scale(self.folder)
        for name, tensor in self.base.tensors():
            pair = pairs.pop(name, None)
            yield _decoder_name(name), tensor if pair is None else _merged(tensor, pair, scale)
        if pairs:
            first = next(iter(pairs))
            raise CheckpointError(
                f"{self.folder / ADAPTER}: adapts {first} and {len(pairs) - 1} more, "
                "which the base does not have"
            )

    def _pairs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the factors (A [r, in], B [out, r]) of each adapted tensor of the base."""
        found: dict[str, dict[str, Tensor]] = {}
        for name, tensor in _read(self.folder / ADAPTER):
            part = next((end for end in _PARTS if name.endswith(end)), None)
            if part is None or not name.startswith(_ADAPTED):
                raise CheckpointError(f"{self.folder / ADAPTER}: {name} is no part of an adapter")
            target = name.removeprefix(_ADAPTED).removesuffix(part) + ".weight"
            found.setdefault(target, {})[part] = tensor
        for target, parts in found.items():
            if len(parts) != len(_PARTS):
                raise CheckpointError(f"{self.folder / ADAPTER}: {target} has one factor only")
        return {target: (parts[_PARTS[0]], parts[_PARTS[1]]) for target, parts in found.items()}


def _read(path: Path) -> Iterator[tuple[str, Tensor]]:
    return WeightFiles((path,)).tensors()


def _decoder_name(name: str) -> str:
    return f"llama.{name.removeprefix('model.')}" if name.startswith("model.") else name


def _scale(folder: Path) -> float:
    path = folder / ADAPTER_CONFIG
    settings = read_json(path)
    try:
        refuse("adapter", settings, _FIXED)
        return float(settings["lora_alpha"]) / int(settings["r"])
    except CONFIG_FAULTS as error:
        raise unusable(path, error) from None


def _merged(weight: Tensor, pair: tuple[Tensor, Tensor], scale: float) -> Tensor:
    """Return weight [out, in] + scale x B [out, r] A [r, in], in float32 whatever the files hold."""
    narrow, wide = (factor.float() for factor in pair)
    if wide.shape[0] != weight.shape[0] or narrow.shape[1:] != weight.shape[1:]:
        raise CheckpointError(f"an adapter of shape {tuple(weight.shape)} was expected")
    merged: Tensor = weight.float() + (wide @ narrow) * scale
    return merged
