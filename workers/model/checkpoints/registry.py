"""The models that can be loaded, by the name that the settings use."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workers.model.checkpoints.llava import Llava
from workers.model.errors import CheckpointError
from workers.model.files import snapshot
from workers.model.names import MODELS
from workers.model.placement import HERE, Place

if TYPE_CHECKING:
    from workers.model.checkpoints.loading import Loader


def load(name: str, folder: Path, place: Place = HERE, *, base: Path | None = None) -> Llava:
    """Return the model called `name`, loaded from `folder` and ready to answer.

    Args:
        name: A key of `MODELS`.
        folder: Folder of the files, or a model's folder in the Hub's cache; "tiny" makes its files there
            if they are missing, "demo" uses its own.
        place: Device and number format.
        base: Folder of the language model, for a checkpoint that was published without it.

    Raises:
        CheckpointError: No such model, or its files do not fit or differ from their SHA256SUMS.
        DeviceError: The device has too little memory, or lacks what the place asks for.
    """
    if name not in MODELS:
        raise CheckpointError(f"no model {name!r}; there are {', '.join(MODELS)}")
    loader = cast("Loader", importlib.import_module(MODELS[name]).load)
    apart = {} if base is None else {"base": snapshot.resolved_folder(base)}
    return loader(snapshot.resolved_folder(folder), place, **apart)
