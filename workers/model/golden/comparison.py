"""Compares arrays and texts of a model with those that the original code computed.

The golden arrays are float32, and another processor adds in another order. So our model runs twice: in
float64, which gives the same numbers on every processor and must equal the golden arrays but for their
rounding, and in float32, whose rounding must be of the same size as theirs.
"""

import copy
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from workers.model.checkpoints.llava import Llava
from workers.model.networks.multimodal import Passage
from workers.model.prompts import Turn
from workers.model.vlm import Decoding

# The golden arrays differ from the float64 run by 1.1e-5 and 1.4e-4 at most, by rounding.
VISION_TOLERANCE: Final = 2e-5
LOGIT_TOLERANCE: Final = 2e-4
# Our rounding may be this many times that of the golden array: processors differ by up to 4 times.
_ROUNDING: Final = 10.0
_STEPS: Final = 32  # greedy ids in a golden array

Array: TypeAlias = NDArray[Any]
LlavaT = TypeVar("LlavaT", bound=Llava)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of one array or text with its golden.

    Attributes:
        difference: Largest absolute difference; infinite where shapes or texts differ.
        tolerance: Largest difference that is allowed.
    """

    name: str
    difference: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the difference is within tolerance."""
        return self.difference <= self.tolerance


def held(name: str, array: Array, golden: dict[str, Array], tolerance: float) -> Comparison:
    """Return the comparison of `array` with the golden array called `name`."""
    expected = golden[name]
    if array.shape != expected.shape:
        return Comparison(f"{name} {array.shape} is not {expected.shape}", float("inf"), tolerance)
    difference = np.abs(array.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
    return Comparison(name, float(difference), tolerance)


def in_float64(model: LlavaT) -> LlavaT:
    """Return a copy of the model that calculates in float64 with the same weights."""
    exact = copy.copy(model)
    exact.network = copy.deepcopy(model.network).double()
    return exact


def near(
    name: str, array: Array, exact: Array, golden: dict[str, Array], tolerance: float
) -> Iterator[Comparison]:
    """Yield the comparisons of the float64 run with the golden array, and of the float32 run with it.

    Args:
        name: Name of the golden array.
        array: What our model computed in float32.
        exact: The same in float64.
        golden: The folder's arrays.
        tolerance: Largest difference of the float64 run from the golden array.
    """
    yield held(name, exact, golden, tolerance)
    if exact.shape == golden[name].shape:
        rounding = float(np.abs(golden[name] - exact).max(initial=0.0))
        yield held(f"{name}, float32", array, {f"{name}, float32": exact}, _ROUNDING * rounding)


def same(name: str, text: str, expected: str) -> Comparison:
    """Return the comparison of a text with what it must be."""
    return Comparison(name, 0.0 if text == expected else float("inf"), 0.0)


def preprocessing(
    pixel_values: Callable[[Image.Image], Array], folder: Path, tolerance: float
) -> Iterator[Comparison]:
    """Yield a comparison for each image in the folder's `preprocess_cases.npz`."""
    cases: dict[str, Array] = dict(np.load(folder / "preprocess_cases.npz"))
    for name in sorted(cases):
        if name.endswith("__png"):
            with Image.open(io.BytesIO(cases[name].tobytes())) as image:
                pixels = pixel_values(image)
            yield held(name.replace("__png", "__pixel_values"), pixels, cases, tolerance)


def chat(
    models: tuple[Llava, Llava],
    pixels: NDArray[np.float32],
    turns: Sequence[Turn],
    name: str,
    golden: dict[str, Array],
    notes: dict[str, Any],
) -> Iterator[Comparison]:
    """Yield the comparisons of one chat: prompt, ids, embeddings, logits, greedy ids and text.

    Args:
        models: On the CPU, in float32 and in float64.
        pixels: float32 [1, channels, S, S].
        turns: The chat.
        name: Prefix of its arrays and key of its texts.
        golden: The folder's arrays.
        notes: The folder's texts.
    """
    model, _ = models
    yield same(f"{name} prompt", model.render(turns), notes["prompts"][name])
    ids = model.prompt_ids(turns)
    yield held(f"{name}_input_ids", np.array(ids), golden, 0.0)
    greedy = golden[f"{name}_greedy_ids"]
    computed, exact = (_computed(each, pixels, ids, greedy) for each in models)
    for part, array in computed.items():
        if f"{name}_{part}" in golden:
            tolerance = VISION_TOLERANCE if part == "inputs_embeds" else LOGIT_TOLERANCE
            yield from near(f"{name}_{part}", array, exact[part], golden, tolerance)
    answer = model.converse(pixels, turns, Decoding(max_new_tokens=_STEPS))
    yield held(f"{name}_greedy_ids", np.array(answer.token_ids), golden, 0.0)
    yield same(f"{name} greedy text", answer.text, notes["greedy_texts_32"][name])


@torch.inference_mode()
def _computed(
    model: Llava, pixels: NDArray[np.float32], ids: list[int], greedy: Array
) -> dict[str, Array]:
    """Return embeddings and logits of a prompt, and the logits along the golden ids `greedy`.

    The golden ids are followed so that one early difference does not hide the later ones.
    """
    embeds = model.network.splice(ids, model.network.image_tokens(torch.from_numpy(pixels)))
    passage = Passage(model.network, slots=len(embeds) + _STEPS)
    prefill = passage.read(embeds, every=True)
    steps = torch.stack([prefill[-1], *(passage.step(int(i)) for i in greedy[:-1])])
    tensors = {
        "inputs_embeds": embeds,
        "prefill_logits": prefill,
        "first_logits": prefill[-1],
        "step_logits": steps,
    }
    return {part: tensor.numpy() for part, tensor in tensors.items()}
