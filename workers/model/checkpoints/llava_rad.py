"""LLaVA-Rad: a color tower, a two-layer projector and Vicuna with its low-rank adapter merged in.

It writes findings from the image and the indication of the order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from workers.model import preprocess
from workers.model.checkpoints import vicuna
from workers.model.checkpoints.llava import Limits, Llava
from workers.model.checkpoints.loading import filled, with_vectors
from workers.model.config import (
    CONFIG_FAULTS,
    LanguageConfig,
    language_config,
    read_json,
    refuse,
    unusable,
)
from workers.model.errors import CheckpointError
from workers.model.files.adapter import AdaptedFiles
from workers.model.files.snapshot import file_digest
from workers.model.files.weights import WeightFiles
from workers.model.networks.dinov2 import EPS, Dinov2Tower, TowerConfig
from workers.model.networks.multimodal import Multimodal
from workers.model.networks.vector_head import ImageFeatures, VectorHead
from workers.model.placement import HERE, Place
from workers.model.profiles.profile import Ability
from workers.model.prompts import Task, Turn
from workers.model.tokenizer import EOS, Tokenizer
from workers.model.vlm import Checkpoint, VectorMethod

NAME: Final = "LLaVA-Rad"
NEW_TOKENS: Final = 256  # as in the authors' evaluation
# The tower's last norm contributes nothing to text; old files also hold rotary tables.
_IGNORED: Final = ("vision_tower.norm.*", "*.rotary_emb.inv_freq")
_TOWER_CONFIG: Final = "biomedclipcxr_518.json"
# timm's name of the published tower -> the sizes that it stands for.
_KNOWN_TOWERS: Final = {
    "vit_base_patch14_dinov2.lvd142m": {
        "layers": 12, "width": 768, "head_width": 64, "patch_size": 14,
    },
}  # fmt: skip
_FIXED: Final[dict[str, Any]] = {
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_feature": "patch",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "image_aspect_ratio": "square",
    "tune_mm_mlp_adapter": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RadConfig:
    """The settings of the published `config.json` and of the tower's file.

    Attributes:
        checkpoint: File name of the tower's weights.
    """

    tower: TowerConfig
    language: LanguageConfig
    checkpoint: str

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Return the configuration of the published files in `folder`.

        Raises:
            CheckpointError: A file is missing or no JSON object, a key is absent or of the wrong
                kind, or asks for arithmetic that is not implemented.
        """
        source = read_json(folder / "config.json")
        try:
            refuse("config", source, _FIXED)
            tower = _tower(read_json(_tower_file(folder, source)), source)
            checkpoint = str(source["mm_vision_tower_checkpoint"])
            if Path(checkpoint).name != checkpoint:
                raise ValueError("mm_vision_tower_checkpoint must be a plain file name")
            return cls(tower=tower, language=language_config(source), checkpoint=checkpoint)
        except CONFIG_FAULTS as error:
            raise unusable(folder / "config.json", error) from None


class Network(Multimodal):
    """The weights; the projector's names are the published ones, the tower's are timm's."""

    head_method = VectorMethod.BIOMEDCLIP

    def __init__(self, config: RadConfig) -> None:
        super().__init__(config.language)
        self._tokens_per_image = config.tower.tokens
        hidden = config.language.hidden_size
        self.vision_tower: Dinov2Tower = Dinov2Tower(config.tower)
        self.mm_projector = nn.Sequential(
            nn.Linear(config.tower.width, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    @property
    def tokens_per_image(self) -> int:
        """Number of image tokens that the decoder receives."""
        return self._tokens_per_image

    def read_images(self, pixels: Tensor) -> ImageFeatures:
        """Return the image tokens, and vectors by the rest of BiomedCLIP's tower if it has its head."""
        if self.vector_head is None:
            return super().read_images(pixels)
        selected = self.vision_tower.selected(pixels.to(self.lm_head.weight))
        class_tokens = self.vision_tower.last(selected)[:, 0]
        return ImageFeatures(self.mm_projector(selected[:, 1:]), self.vector_head(class_tokens))


class LlavaRad(Llava):
    """A loaded LLaVA-Rad."""

    def __init__(
        self, network: Network, tokenizer: Tokenizer, config: RadConfig, checkpoint: Checkpoint
    ) -> None:
        positions = config.language.max_positions
        limits = Limits(token_budget=positions, positions=positions, new_tokens=NEW_TOKENS)
        super().__init__(network, tokenizer, limits, checkpoint)
        self.network: Network = network
        self.config = config

    def pixel_values(self, image: Image.Image) -> NDArray[np.float32]:
        """Return float32 [1, 3, S, S]; see `preprocess.clip_pixel_values`."""
        return preprocess.clip_pixel_values(image, self.config.tower.image_size)

    def chat(self, task: Task, question: str = "", indication: str = "") -> tuple[Turn, ...]:
        """Return the turn that asks `task`; for a report, it states the indication."""
        return vicuna.chat(task, question, indication)

    def render(self, turns: Sequence[Turn]) -> str:
        """Return a chat in the Vicuna v1 layout."""
        return vicuna.render(turns)

    def ends(self, ids: list[int]) -> bool:
        """Return whether the last id is `</s>`, the only one in the base's generation settings."""
        return ids[-1:] == [EOS]


def load(folder: Path, place: Place = HERE, *, base: Path | None = None) -> LlavaRad:
    """Return the model of the published files in `folder`, merged with its base.

    Args:
        folder: `microsoft/llava-rad`'s files.
        place: Device and number format; the adapter is merged in float32 before.
        base: `lmsys/vicuna-7b-v1.5`'s files.

    Raises:
        CheckpointError: Files are missing or do not fit together; the message names what differs.
        DeviceError: The device has too little memory; the message states what would fit.
    """
    if base is None:
        raise CheckpointError(
            f"{folder}: {NAME} needs the folder of its base model, vicuna-7b-v1.5, too"
        )
    config = RadConfig.from_folder(folder)
    tokenizer = Tokenizer.from_folder(base, known=config.language.vocab_size)
    files = AdaptedFiles(WeightFiles.find(base), folder, folder / config.checkpoint)
    checkpoint = Checkpoint(
        name=NAME,
        max_new_tokens=NEW_TOKENS,
        takes_indication=True,
        # It was trained to describe findings only: asked anything else, it writes findings.
        cannot=(Ability.CHAT.value, Ability.DIFFERENTIAL.value),
    )
    network, checkpoint = filled(
        lambda: Network(config), files, place, checkpoint, ignored=_IGNORED
    )
    network.vector_head = _vector_head(files, config, place)
    tower = file_digest(files.tower) if network.vector_head is not None else ""
    return LlavaRad(network, tokenizer, config, with_vectors(checkpoint, network, tower))


def _vector_head(files: AdaptedFiles, config: RadConfig, place: Place) -> VectorHead | None:
    """Return the end of BiomedCLIP's image tower; None if the tower's file has no head."""
    end = files.tower_end()
    if end is None or end.projection.shape[1] != config.tower.width:
        return None
    norm = nn.LayerNorm(config.tower.width, eps=EPS)
    norm.load_state_dict({"weight": end.norm_weight, "bias": end.norm_bias})
    head = VectorHead(end.projection.float().T.contiguous(), norm)
    return head.to(place.device)


def _tower_file(folder: Path, source: dict[str, Any]) -> Path:
    # The published key is a path of the authors' machine; it then means the published file.
    named = folder / Path(str(source.get("mm_vision_tower_config"))).name
    return named if named.is_file() else folder / _TOWER_CONFIG


def _tower(described: dict[str, Any], source: dict[str, Any]) -> TowerConfig:
    vision = described["vision_cfg"]
    sizes = _KNOWN_TOWERS.get(str(vision["timm_model_name"]), {}) | vision
    config = TowerConfig(
        image_size=int(sizes["image_size"]),
        patch_size=int(sizes["patch_size"]),
        width=int(sizes["width"]),
        layers=int(sizes["layers"]),
        heads=int(sizes["width"]) // int(sizes["head_width"]),
        select=int(source["mm_vision_select_layer"]),
    )
    if int(source.get("mm_hidden_size", config.width)) != config.width:
        raise ValueError("mm_hidden_size is not the width of the vision tower")
    if config.image_size % config.patch_size or not -config.layers <= config.select < 0:
        raise ValueError("the tower's sizes do not fit together")
    return config
