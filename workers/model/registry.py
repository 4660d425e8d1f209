"""The models that can be loaded, by the name that the settings use. Another model: one line here."""

import importlib
from pathlib import Path
from typing import Final, cast

import torch

from workers.model.errors import CheckpointError
from workers.model.llava import Llava, Loader
from workers.model.vlm import torch_device

# name -> the module whose `load` takes it; imported only when it is wanted.
MODELS: Final = {
    "cxr-llava-v1": "workers.model.cxr_llava_v1",
    "cxr-llava-v2": "workers.model.cxr_llava",
    "demo": "workers.model.shipped",
    "llava-rad": "workers.model.llava_rad",
    "tiny": "workers.model.tiny",
}
DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(
    name: str,
    folder: Path,
    *,
    base: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Llava:
    """Return the model called `name`, loaded from `folder` and ready to answer.

    Args:
        name: A key of `MODELS`.
        folder: The checkpoint's files; for "tiny" the place where they are, or are made; "demo" has
            its own.
        base: Folder of the language model, for a checkpoint that comes without.
        device: "cpu", "cuda" or "cuda:N".
        dtype: A key of `DTYPES`.

    Raises:
        CheckpointError: No such model, or its files do not fit.
        DeviceError: No such device, or it has not the memory.
    """
    if name not in MODELS or dtype not in DTYPES:
        raise CheckpointError(
            f"no model {name!r} as {dtype!r}; models: {', '.join(MODELS)}; dtypes: {', '.join(DTYPES)}"
        )
    loader = cast("Loader", importlib.import_module(MODELS[name]).load)
    apart = {} if base is None else {"base": base}
    return loader(folder, device=torch_device(device), dtype=DTYPES[dtype], **apart)
