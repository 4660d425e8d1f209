"""The demo model, whose files are part of this package: a CXR-LLaVA v2 trained on phantoms only."""

import dataclasses
from pathlib import Path
from typing import Final

from workers.model.checkpoints import cxr_llava
from workers.model.checkpoints.cxr_llava import CxrLlava
from workers.model.placement import HERE, Place
from workers.model.profiles.profile import Ability

NAME: Final = "demo model"
FOLDER: Final = Path(__file__).parents[1] / "demo"


def load(folder: Path, place: Place = HERE) -> CxrLlava:  # noqa: ARG001 - a Loader
    """Return the shipped model; `folder` is not used. See `cxr_llava.load`."""
    model = cxr_llava.load(FOLDER, place)
    model.checkpoint = dataclasses.replace(
        model.checkpoint,
        name=NAME,
        places_measured=True,
        cannot=(Ability.FOLLOW_UP.value, Ability.OPEN_QUESTIONS.value),
    )
    return model
