"""Loads the model that the settings name, and derives how it decodes."""

import dataclasses
from pathlib import Path
from typing import Final

from service.settings.config import Settings
from workers.model.checkpoints import registry
from workers.model.checkpoints.llava import Llava
from workers.model.files import snapshot
from workers.model.placement import place
from workers.model.vlm import Decoding
from workers.reading.finding_regions import QUESTIONS

_TINY_FOLDER: Final = Path("models", "tiny-2")  # raise the number when the recipe changes


def opened(settings: Settings) -> Llava:
    """Load and return the model of the settings.

    Raises:
        CheckpointError: Its files do not fit or are not the pinned ones.
        DeviceError: The device is missing, or lacks the memory or a format that the settings name.
    """
    reading = settings.reading
    folder = reading.model_dir or settings.data_dir / _TINY_FOLDER
    base = reading.base_model_dir
    if reading.model_sha256 is not None:
        folder = snapshot.located(folder, reading.model_sha256)
    if base is not None and reading.base_model_sha256 is not None:
        base = snapshot.located(base, reading.base_model_sha256)
    where = place(
        reading.device,
        reading.dtype,
        quantisation=reading.quantisation,
        rows=rows(settings),
        new_tokens=reading.max_new_tokens,
    )
    model = registry.load(reading.model, folder, where, base=base)
    if reading.where == "on" or (reading.where == "auto" and model.checkpoint.places_measured):
        model.located = QUESTIONS
    return model


def rows(settings: Settings) -> int:
    """Return the number of answers written at once: for each study its report and samples."""
    reading = settings.reading
    return reading.concurrency * (1 + reading.samples)


def decoding(settings: Settings, bound: int | None) -> Decoding:
    """Return how tokens are chosen.

    Args:
        settings: The site's.
        bound: The checkpoint's own limit on new tokens, or None.
    """
    reading = settings.reading
    return Decoding(
        temperature=reading.temperature,
        top_p=reading.top_p,
        top_k=reading.top_k,
        seed=reading.seed,
        max_new_tokens=min(reading.max_new_tokens, bound or reading.max_new_tokens),
    )


def sampling(settings: Settings, draft: Decoding) -> tuple[Decoding, ...]:
    """Return the decoding of the samples that a draft is compared with, each with its own seed."""
    reading = settings.reading
    return tuple(
        dataclasses.replace(draft, temperature=reading.sample_temperature, seed=draft.seed + number)
        for number in range(1, reading.samples + 1)
    )
