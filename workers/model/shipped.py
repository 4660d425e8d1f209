"""The demo model whose files are part of this package: a CXR-LLaVA v2 that has learnt phantoms only."""

import dataclasses
from pathlib import Path
from typing import Final

from workers.model import cxr_llava
from workers.model.cxr_llava import CxrLlava
from workers.model.place import HERE, Place

NAME: Final = "demo model"
FOLDER: Final = Path(__file__).with_name("demo")


def load(folder: Path, place: Place = HERE) -> CxrLlava:  # noqa: ARG001 - a Loader
    """Return the shipped model, wherever `folder` points; see `cxr_llava.load`."""
    model = cxr_llava.load(FOLDER, place)
    model.checkpoint = dataclasses.replace(model.checkpoint, name=NAME, places_measured=True)
    return model
