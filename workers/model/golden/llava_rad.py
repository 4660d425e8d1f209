"""The golden folder of LLaVA-Rad: base and adapter in separate folders, records, arrays, texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from workers.model.checkpoints import llava_rad
from workers.model.checkpoints.llava_rad import LlavaRad
from workers.model.errors import CheckpointError
from workers.model.files.adapter import ADAPTER_CONFIG
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
from workers.model.prompts import Task
from workers.model.vlm import Decoding

PIXEL_TOLERANCE: Final = 0.0
MERGED_TOLERANCE: Final = 1e-6
_MERGED_WEIGHTS: Final = {
    "merged_layer0_q_proj": "llama.layers.0.self_attn.q_proj.weight",
    "merged_layer1_down_proj": "llama.layers.1.mlp.down_proj.weight",
}


def compare(folder: Path) -> Iterator[Comparison]:
    """Yield a comparison for each golden in `folder`.

    Raises:
        ModelError: The checkpoint cannot be loaded or run.
        OSError: A golden file is missing.
    """
    golden: dict[str, Array] = dict(np.load(folder / "golden.npz"))
    notes = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    records = json.loads((folder / "queries.json").read_text(encoding="utf-8"))
    adapter, base = parts(folder)
    model = llava_rad.load(adapter, base=base)
    exact = in_float64(model)
    for name, weight in _MERGED_WEIGHTS.items():
        merged = model.network.state_dict()[weight]
        yield held(name, merged.numpy(), golden, MERGED_TOLERANCE)
    yield from preprocessing(model.pixel_values, folder, PIXEL_TOLERANCE)
    pixels = {name: _pixels(model, folder / name) for name in set(notes["loader_images"].values())}
    yield held("pixel_values", pixels["input.png"], golden, PIXEL_TOLERANCE)
    yield held("g_pixel_values", pixels["input2.png"], golden, PIXEL_TOLERANCE)
    stages, expected = (vision_stages(each, pixels["input.png"]) for each in (model, exact))
    for name, array in stages.items():
        yield from near(name, array, expected[name], golden, VISION_TOLERANCE)
    whole = {one["id"]: one["prediction"] for one in notes["reference_eval_script_predictions"]}
    for record in records:
        if (name := record["id"]) in whole:
            image = pixels[notes["loader_images"][name]]
            turns = model.chat(Task.REPORT, indication=record["reason"] or "")
            yield from chat((model, exact), image, turns, name, golden, notes)
            answer = model.converse(image, turns, Decoding())
            yield same(f"{name} greedy text, whole", answer.text.strip(), whole[name])


def parts(folder: Path) -> tuple[Path, Path]:
    """Return the adapter's and the base's folder within a golden folder.

    Raises:
        CheckpointError: There is not exactly one of each.
    """
    inner = sorted(one.parent for one in folder.glob("*/config.json"))
    adapters = [one for one in inner if (one / ADAPTER_CONFIG).is_file()]
    bases = [one for one in inner if one not in adapters]
    if len(adapters) != 1 or len(bases) != 1:
        raise CheckpointError(f"{folder}: no checkpoint, and no adapter with its base")
    return adapters[0], bases[0]


@torch.inference_mode()
def vision_stages(model: LlavaRad, pixels: NDArray[np.float32]) -> dict[str, Array]:
    """Return the state of the vision tower at each named stage for `pixels` [B, 3, S, S]."""
    tower = model.network.vision_tower
    image = torch.from_numpy(pixels).to(model.network.lm_head.weight)
    states: list[Any] = [tower.embedded(image)]
    for block in tower.blocks:
        states.append(block(states[-1]))
    stages = {
        "vision_after_pos_embed": states[0],
        "vision_selected_hidden_with_cls": states[model.config.tower.select],
        "vision_last_block": states[-1],
        "vision_projector_input": tower(image),
        "vision_tokens": model.network.image_tokens(image),
    }
    return {name: state.numpy() for name, state in stages.items()}


def _pixels(model: LlavaRad, path: Path) -> NDArray[np.float32]:
    with Image.open(path) as image:
        return model.pixel_values(image)
