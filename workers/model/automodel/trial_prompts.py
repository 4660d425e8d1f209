"""Tries a checkpoint with synthetic images before it reads: prompt, image form, and rows of a batch."""

import dataclasses
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from workers.model.automodel.generating import first_logits
from workers.model.automodel.processor_files import first_line
from workers.model.automodel.processors import Prompt, PromptMaker
from workers.model.automodel.rows import Row
from workers.model.errors import CheckpointError, GenerationError
from workers.model.networks.generate import Writing
from workers.model.profiles import chat
from workers.model.profiles.picture import image_sent
from workers.model.profiles.profile import Profile
from workers.model.prompts import Task
from workers.model.vlm import Decoding

_PIXELS: Final = 512  # edge of the synthetic images
# Largest difference of first logits, alone and in a batch, in standard deviations of the logits.
_SAME: Final = {torch.float32: 1e-2}
_SAME_HALF: Final = 0.25
_GRAY: Final = 1  # channels
# The errors that a network or a processor raises for an image of another form.
_FAULTS: Final = (RuntimeError, ValueError, LookupError, TypeError, AttributeError)


def first_prompt(maker: PromptMaker, profile: Profile, config: Any, folder: Path) -> Prompt:  # noqa: ANN401 - any configuration of the library
    """Return the prompt of a report about a synthetic image.

    Args:
        maker: The checkpoint's.
        profile: Its profile.
        config: The checkpoint's configuration, for the advice of the error.
        folder: Of the checkpoint, for messages.

    Raises:
        CheckpointError: The image processor refuses the image as the profile sends it.
        GenerationError: The chat template or the processor refuses the prompt.
    """
    image = picture(profile)
    try:
        return maker.prompt(image, chat.turns(profile, Task.REPORT))
    except GenerationError:
        fault = _image_fault(maker, image)
        if fault is None:
            raise
        raise refused_image(folder, profile, config, fault) from None


def _image_fault(maker: PromptMaker, image: Image.Image) -> Exception | None:
    """Return the error with which the image processor alone refuses an image, None if it accepts it."""
    try:
        maker.processor.image_processor(images=image, return_tensors="pt")
    except _FAULTS as error:
        return error
    return None


def refused_image(
    folder: Path,
    profile: Profile,
    config: Any,  # noqa: ANN401 - as above
    fault: BaseException,
) -> CheckpointError:
    """Return the error for an image that the checkpoint refuses; it names the keys to change."""
    form = profile.image
    size = f"image.width = {form.width}, image.height = {form.height}"
    return CheckpointError(
        f"{folder}: the model refuses the image that the profile sends (image.mode = {form.mode!r}, "
        f"{size if form.size else 'no image.width and image.height'}): {first_line(fault)}. "
        f"In the profile {_advice(config)}"
    )


def _advice(config: Any) -> str:  # noqa: ANN401 - as above
    vision = getattr(config, "vision_config", None)
    channels, edge = (getattr(vision, key, None) for key in ("num_channels", "image_size"))
    keys = []
    if isinstance(channels, int):
        keys.append(f'image.mode = "{"L" if channels == _GRAY else "RGB"}"')
    if isinstance(edge, int):
        keys += [f"image.width = {edge}", f"image.height = {edge}"]
    stated = f"set {', '.join(keys)}, as config.json has them" if keys else ""
    return stated or "correct image.mode, image.width and image.height"


def picture(profile: Profile, seed: int = 0) -> Image.Image:
    """Return a synthetic image as the profile sends it."""
    noise = np.random.default_rng(seed).random((_PIXELS, _PIXELS), dtype=np.float32)
    return image_sent(noise, profile.image)


def rows_are_independent(loaded: Any, folder: Path) -> bool:  # noqa: ANN401 - a `loading.Loaded`, which imports this
    """Return whether two prompts of unequal length give the same first logits together as alone.

    Raises:
        CheckpointError: The network refuses the image of the profile.
    """
    profile, pad = loaded.profile, loaded.special.pad
    rows = _two_rows(loaded, profile)
    try:
        alone = torch.cat([first_logits(loaded.network, [row], pad) for row in rows])
    except torch.OutOfMemoryError:
        raise
    except _FAULTS as error:
        raise refused_image(folder, profile, loaded.network.config, error) from None
    try:
        together = first_logits(loaded.network, rows, pad)
    except torch.OutOfMemoryError:
        raise
    except _FAULTS:
        return False
    apart = (alone - together).abs().amax(-1) / alone.std(-1)
    return bool((apart <= _SAME.get(loaded.network.dtype, _SAME_HALF)).all())


def _two_rows(loaded: Any, profile: Profile) -> list[Row]:  # noqa: ANN401 - as above
    texts = chat.turns(profile, Task.REPORT, indication="cough and fever")
    longer = chat.turns(profile, Task.REPORT)
    system = dataclasses.replace(texts[-1], content=texts[-1].content + " Use short sentences.")
    return [
        Row(
            loaded.maker.prompt(picture(profile, seed), turns),
            Writing(Decoding(max_new_tokens=1), loaded.ends),
            lambda: False,
        )
        for seed, turns in enumerate(((*texts[:-1], system), longer))
    ]
