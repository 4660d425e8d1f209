"""CXR-LLaVA v2: a vision transformer for gray images, a linear projector and a LLaMA decoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from workers.model import preprocess, prompts
from workers.model.checkpoints.llava import Limits, Llava
from workers.model.checkpoints.loading import filled, with_vectors
from workers.model.config import ModelConfig
from workers.model.files.weights import WeightFiles
from workers.model.networks.multimodal import Multimodal
from workers.model.networks.vector_head import ImageFeatures, VectorHead
from workers.model.networks.vision import VisionTower
from workers.model.placement import HERE, Place
from workers.model.prompts import Task, Turn
from workers.model.tokenizer import Tokenizer
from workers.model.vlm import Checkpoint

NAME: Final = "CXR-LLaVA v2"
_HEAD: Final = "vision_tower.proj"
# The CLIP head contributes nothing to text; old files also hold rotary tables.
_IGNORED: Final = (_HEAD, "*.rotary_emb.inv_freq")


class Network(Multimodal):
    """The weights: attribute names are the checkpoint's tensor names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.language)
        self._tokens_per_image = config.vision.tokens
        self.vision_tower: VisionTower = VisionTower(config.vision)
        self.mm_projector: nn.Linear = nn.Linear(config.vision.width, config.language.hidden_size)

    @property
    def tokens_per_image(self) -> int:
        """Number of image tokens that the decoder receives."""
        return self._tokens_per_image

    def read_images(self, pixels: Tensor) -> ImageFeatures:
        """Return the image tokens, and vectors of the class token if the checkpoint has a CLIP head."""
        if self.vector_head is None:
            return super().read_images(pixels)
        hidden = self.vision_tower.hidden(pixels.to(self.lm_head.weight))
        return ImageFeatures(self.mm_projector(hidden[:, 1:]), self.vector_head(hidden[:, 0]))


class CxrLlava(Llava):
    """A loaded CXR-LLaVA v2."""

    def __init__(
        self, network: Network, tokenizer: Tokenizer, config: ModelConfig, checkpoint: Checkpoint
    ) -> None:
        super().__init__(network, tokenizer, _limits(config), checkpoint)
        self.network: Network = network
        self.config = config

    def pixel_values(self, image: Image.Image) -> NDArray[np.float32]:
        """Return float32 [1, 1, S, S]; see `preprocess.pixel_values`."""
        return preprocess.pixel_values(image, self.config.vision)

    def chat(self, task: Task, question: str = "", indication: str = "") -> tuple[Turn, ...]:
        """Return the turns that ask `task`, without `indication`: the model was not trained with one."""
        del indication
        return prompts.chat(task, question)

    def render(self, turns: Sequence[Turn]) -> str:
        """Return a chat in the LLaMA-2 layout."""
        return prompts.render(turns)


def load(folder: Path, place: Place = HERE) -> CxrLlava:
    """Return the model of the published files in `folder`.

    Raises:
        CheckpointError: Files are missing or do not fit together; the message names what differs.
        DeviceError: The device has too little memory; the message states what would fit.
    """
    config = ModelConfig.from_folder(folder)
    tokenizer = Tokenizer.from_folder(folder, known=config.language.vocab_size)
    checkpoint = Checkpoint(
        name=NAME,
        caveat=config.caveat,
        max_new_tokens=config.max_new_tokens,
        synthetic_caveat=config.synthetic_caveat,
        mark=config.mark,
        scores_measured=config.scores_measured,
        meaningless=config.meaningless,
    )
    files = WeightFiles.find(folder)
    network, checkpoint = filled(
        lambda: Network(config), files, place, checkpoint, ignored=_IGNORED
    )
    network.vector_head = _vector_head(files, config, place)
    return CxrLlava(network, tokenizer, config, with_vectors(checkpoint, network))


def _vector_head(files: WeightFiles, config: ModelConfig, place: Place) -> VectorHead | None:
    """Return the head that makes a vector of the class token; None if there is no trained one."""
    if not config.class_token_trained:
        return None
    projection = files.some((_HEAD,)).get(_HEAD)
    if projection is None or projection.ndim != 2 or len(projection) != config.vision.width:
        return None
    return VectorHead(projection.to(place.device, torch.float32))


def _limits(config: ModelConfig) -> Limits:
    return Limits(
        token_budget=config.token_budget,
        positions=config.language.max_positions,
        new_tokens=config.max_new_tokens,
    )
