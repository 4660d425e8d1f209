"""Runs the checkpoint of a golden folder and holds every array against what the original code gave.

`python -m workers.model.parity DIR` prints each array's largest difference and exits 1 when one is
past its tolerance. A golden folder is a checkpoint with `golden.npz`, `golden.json`, `input.png` and
`preprocess_cases.npz` beside it. In float32 on the CPU, as the arrays were made.
"""

import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from workers.model import cxr_llava, preprocess, prompts
from workers.model.cxr_llava import CxrLlava, Passage
from workers.model.errors import ModelError
from workers.model.prompts import Role, Task, Turn
from workers.model.vlm import Decoding

PIXELS: Final = 0.0
VISION: Final = 1e-5
LOGITS: Final = 1e-4
_STEPS: Final = 32  # greedy ids in a golden array
_TASKS: Final = ("report", "ddx", "qa", "multiturn")

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One array or text held against its golden.

    Attributes:
        difference: Largest absolute difference; infinite where shapes or texts differ.
        tolerance: What is allowed.
    """

    name: str
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether it is within tolerance."""
        return self.difference <= self.tolerance


def compare(folder: Path) -> Iterator[Comparison]:
    """Yield a comparison for each golden in `folder` that this file knows how to compute.

    Raises:
        ModelError: The checkpoint cannot be loaded or run.
        OSError: A golden file is missing.
    """
    golden: dict[str, Array] = dict(np.load(folder / "golden.npz"))
    notes = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    model = cxr_llava.load(folder, device=torch.device("cpu"), dtype=torch.float32)
    yield from _preprocessing(model, folder)
    with Image.open(folder / "input.png") as image:
        pixels = preprocess.pixel_values(image, model.config.vision)
    yield _held("pixel_values", pixels, golden, PIXELS)
    for name, array in vision_stages(model, pixels).items():
        yield _held(name, array, golden, VISION)
    for task in _TASKS:
        yield from _task(model, pixels, task, golden, notes)
    yield from _whole_report(model, pixels, notes)


def vision_stages(model: CxrLlava, pixels: NDArray[np.float32]) -> dict[str, Array]:
    """Return what the vision tower holds at each named stage for `pixels` [B, 1, S, S]."""
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
    """Return the chat behind a golden task."""
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


def _preprocessing(model: CxrLlava, folder: Path) -> Iterator[Comparison]:
    cases: dict[str, Array] = dict(np.load(folder / "preprocess_cases.npz"))
    for name in sorted(cases):
        if not name.endswith("__png"):
            continue
        with Image.open(io.BytesIO(cases[name].tobytes())) as image:
            pixels = preprocess.pixel_values(image, model.config.vision)
        yield _held(name.replace("__png", "__pixel_values"), pixels, cases, PIXELS)


@torch.inference_mode()
def _task(
    model: CxrLlava,
    pixels: NDArray[np.float32],
    task: str,
    golden: dict[str, Array],
    notes: dict[str, Any],
) -> Iterator[Comparison]:
    turns = turns_of(task, notes["question"])
    prompt = prompts.render(turns)
    yield _same(f"{task} prompt", prompt, notes["prompts"][task])
    ids = prompts.prompt_ids(model.tokenizer, prompt)
    yield _held(f"{task}_input_ids", np.array(ids), golden, 0.0)
    embeds = model.network.splice(ids, model.network.image_tokens(torch.from_numpy(pixels)))
    passage = Passage(model.network, slots=len(embeds) + _STEPS)
    prefill = passage.read(embeds, every=True)
    said = model.converse(pixels, turns, Decoding(max_new_tokens=_STEPS))
    greedy = golden[f"{task}_greedy_ids"]
    # Along the golden ids, so that one early difference does not hide the later ones.
    steps = torch.stack([prefill[-1], *(passage.step(int(i)) for i in greedy[:-1])])
    computed = {
        "inputs_embeds": embeds,
        "prefill_logits": prefill,
        "first_logits": prefill[-1],
        "step_logits": steps,
    }
    for name, tensor in computed.items():
        tolerance = VISION if name == "inputs_embeds" else LOGITS
        if f"{task}_{name}" in golden:
            yield _held(f"{task}_{name}", tensor.numpy(), golden, tolerance)
    yield _held(f"{task}_greedy_ids", np.array(said.token_ids), golden, 0.0)
    yield _same(f"{task} greedy text", said.text, notes["greedy_texts_32"][task])


def _whole_report(
    model: CxrLlava, pixels: NDArray[np.float32], notes: dict[str, Any]
) -> Iterator[Comparison]:
    expected = notes.get("greedy_text_report_via_public_method")
    if expected is not None:
        said = model.converse(pixels, prompts.chat(Task.REPORT), Decoding())
        yield _same("report greedy text, whole", said.text, expected)


def _held(name: str, array: Array, golden: dict[str, Array], tolerance: float) -> Comparison:
    expected = golden[name]
    if array.shape != expected.shape:
        return Comparison(f"{name} {array.shape} is not {expected.shape}", float("inf"), tolerance)
    difference = np.abs(array.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
    return Comparison(name, float(difference), tolerance)


def _same(name: str, text: str, expected: str) -> Comparison:
    return Comparison(name, 0.0 if text == expected else float("inf"), 0.0)


def main(arguments: Sequence[str]) -> int:
    """Print the table for the folder named by the only argument; 0 when everything holds."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m workers.model.parity DIR\n")
        return 2
    held = True
    try:
        for row in compare(Path(arguments[0])):
            mark = "ok" if row.holds else "DIFFERS"
            sys.stdout.write(f"{row.difference:10.2e}  {row.tolerance:8.0e}  {mark:8}{row.name}\n")
            held = held and row.holds
    except (ModelError, OSError, KeyError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
