"""The golden folder of CXR-LLaVA v2: a checkpoint with arrays, texts and images beside it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from workers.model import prompts
from workers.model.checkpoints import cxr_llava
from workers.model.checkpoints.cxr_llava import CxrLlava
from workers.model.golden.comparison import (
    VISION_TOLERANCE,
    Array,
    Comparison,
    chat,
    held,
    in_float64,
    near,
    preprocessing,
    same,
)
from workers.model.prompts import Role, Task, Turn
from workers.model.vlm import Decoding

PIXEL_TOLERANCE: Final = 0.0
_TASKS: Final = ("report", "ddx", "qa", "multiturn")


def compare(folder: Path) -> Iterator[Comparison]:
    """Yield a comparison for each golden in `folder`.

    Raises:
        ModelError: The checkpoint cannot be loaded or run.
        OSError: A golden file is missing.
    """
    golden: dict[str, Array] = dict(np.load(folder / "golden.npz"))
    notes = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    model = cxr_llava.load(folder)
    exact = in_float64(model)
    yield from preprocessing(model.pixel_values, folder, PIXEL_TOLERANCE)
    with Image.open(folder / "input.png") as image:
        pixels = model.pixel_values(image)
    yield held("pixel_values", pixels, golden, PIXEL_TOLERANCE)
    stages, expected = vision_stages(model, pixels), vision_stages(exact, pixels)
    for name, array in stages.items():
        yield from near(name, array, expected[name], golden, VISION_TOLERANCE)
    for task in _TASKS:
        yield from chat(
            (model, exact), pixels, turns_of(task, notes["question"]), task, golden, notes
        )
    whole = notes.get("greedy_text_report_via_public_method")
    if whole is not None:
        answer = model.converse(pixels, prompts.chat(Task.REPORT), Decoding())
        yield same("report greedy text, whole", answer.text, whole)


def vision_stages(model: CxrLlava, pixels: NDArray[np.float32]) -> dict[str, Array]:
    """Return the state of the vision tower at each named stage for `pixels` [B, 1, S, S]."""
    tower, seen = model.network.vision_tower, dict[str, Array]()
    stages = {
        "vision_ln_pre": tower.ln_pre,
        "vision_last_block": tower.transformer.resblocks[-1],
        "vision_ln_post": tower.ln_post,
        "vision_projector_input": tower,
        "vision_tokens": model.network.mm_projector,
    }
    hooks = [
        module.register_forward_hook(
            lambda _module, _args, output, name=name: seen.update({name: output.numpy()})
        )
        for name, module in stages.items()
    ]
    with torch.inference_mode():
        model.network.image_tokens(torch.from_numpy(pixels))
    for hook in hooks:
        hook.remove()
    return seen


def turns_of(task: str, question: str) -> tuple[Turn, ...]:
    """Return the chat of a golden task."""
    if task == "report":
        return prompts.chat(Task.REPORT)
    if task == "qa":
        return prompts.chat(Task.QUESTION, question)
    first = prompts.chat(Task.DIFFERENTIAL)
    if task == "ddx":
        return first
    later = (
        Turn(Role.ASSISTANT, "Infection is possible."),
        Turn(Role.USER, "Is follow up CT needed?"),
    )
    return (*first, *later)
