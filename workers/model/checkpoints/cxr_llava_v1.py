"""CXR-LLaVA v1: one vector from CLIP's ResNet, a linear projector and a LLaMA decoder.

The authors withdrew its weights; this module serves users who still have them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from workers.model import preprocess, prompts
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
from workers.model.files.weights import WeightFiles
from workers.model.networks.multimodal import Multimodal
from workers.model.networks.resnet import ResNetConfig, ResNetTower
from workers.model.placement import HERE, Place
from workers.model.prompts import Task, Turn
from workers.model.tokenizer import Tokenizer
from workers.model.vlm import Checkpoint

NAME: Final = "CXR-LLaVA v1"
_IGNORED: Final = ("*.num_batches_tracked", "*.rotary_emb.inv_freq")
_BUDGET: Final = 2048  # ids of prompt and answer, the image counting as one
# The defaults of the published v1 code.
_MEAN: Final = 0.5518136078431373
_STD: Final = 0.3821719215686275


@dataclass(frozen=True, slots=True, kw_only=True)
class V1Config:
    """The settings of `config.json`."""

    tower: ResNetConfig
    language: LanguageConfig

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Return the configuration of the files in `folder`.

        Raises:
            CheckpointError: The file is missing or no JSON object, a key is absent or of the wrong
                kind, or asks for arithmetic that is not implemented.
        """
        source = read_json(folder / "config.json")
        try:
            refuse("config", source, {"mm_use_im_start_end": False})
            return cls(tower=_tower(source), language=language_config(source["llama"]))
        except CONFIG_FAULTS as error:
            raise unusable(folder / "config.json", error) from None


class Network(Multimodal):
    """The weights: attribute names are the checkpoint's tensor names."""

    def __init__(self, config: V1Config) -> None:
        super().__init__(config.language)
        self.vision_tower = ResNetTower(config.tower)
        self.mm_projector = nn.Linear(config.tower.output, config.language.hidden_size)

    @property
    def tokens_per_image(self) -> int:
        """Number of image tokens that the decoder receives."""
        return 1


class CxrLlavaV1(Llava):
    """A loaded CXR-LLaVA v1."""

    def __init__(
        self, network: Network, tokenizer: Tokenizer, config: V1Config, checkpoint: Checkpoint
    ) -> None:
        limits = Limits(
            token_budget=_BUDGET, positions=config.language.max_positions, new_tokens=None
        )
        super().__init__(network, tokenizer, limits, checkpoint)
        self.config = config

    def pixel_values(self, image: Image.Image) -> NDArray[np.float32]:
        """Return float32 [1, 3, S, S]; see `preprocess.color_pixel_values`."""
        tower = self.config.tower
        return preprocess.color_pixel_values(image, tower.image_size, tower.mean, tower.std)

    def chat(self, task: Task, question: str = "", indication: str = "") -> tuple[Turn, ...]:
        """Return the turns that ask `task`, without `indication`: the model was not trained with one."""
        del indication
        return prompts.chat(task, question)

    def render(self, turns: Sequence[Turn]) -> str:
        """Return a chat in the LLaMA-2 layout."""
        return prompts.render(turns)


def load(folder: Path, place: Place = HERE) -> CxrLlavaV1:
    """Return the model of the files in `folder`.

    Raises:
        CheckpointError: Files are missing or do not fit together; the message names what differs.
        DeviceError: The device has too little memory; the message states what would fit.
    """
    config = V1Config.from_folder(folder)
    tokenizer = Tokenizer.from_folder(folder, known=config.language.vocab_size)
    files = WeightFiles.find(folder)
    network, checkpoint = filled(
        lambda: Network(config), files, place, Checkpoint(name=NAME), ignored=_IGNORED
    )
    return CxrLlavaV1(network, tokenizer, config, with_vectors(checkpoint, network))


def _tower(source: dict[str, Any]) -> ResNetConfig:
    tower, scale = source["clip_vision_cfg"], source.get("image_preprocess_cfg", {})
    if not isinstance(tower["layers"], list):
        raise ValueError("clip_vision_cfg.layers is no list: this is a checkpoint of cxr-llava-v2")
    first, second, third, fourth = (int(blocks) for blocks in tower["layers"])
    config = ResNetConfig(
        image_size=int(tower["image_size"]),
        layers=(first, second, third, fourth),
        width=int(tower["width"]),
        output=int(source["clip_embed_dim"]),
        mean=float(scale.get("mean", _MEAN)),
        std=float(scale.get("std", _STD)),
    )
    if int(source.get("mm_projector_dim", config.output)) != config.output:
        raise ValueError("mm_projector_dim is not what the vision tower gives")
    if config.image_size % 32 or config.width % 2 or config.features % 64:
        raise ValueError("clip_vision_cfg: the image must divide by 32, the channels into heads")
    return config
