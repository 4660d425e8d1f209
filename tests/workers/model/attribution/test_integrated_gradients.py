"""Pixels that support a yes: against small changes of the image, and on an image with a thin sign."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from workers.model import preprocess
from workers.model.attribution import integrated_gradients, yes_no
from workers.model.attribution.attention_attribution import grid_edge
from workers.model.attribution.integrated_gradients import details
from workers.model.checkpoints import registry
from workers.model.golden.comparison import in_float64
from workers.model.networks.multimodal import Passage
from workers.model.prompts import IMAGE_SENTINEL, Task
from workers.model.vlm import HeatMap
from workers.reading.content.locating import locate
from workers.reading.content.scores import QUESTIONS


@torch.inference_mode()
def advantage(model, pixels, read, rows):
    """Return log p(Yes) - log p(No) for these pixels."""
    embeds = model.network.splice(read, model.network.image_tokens(torch.from_numpy(pixels)))
    passage = Passage(model.network, slots=len(embeds))
    passage.read(embeds)
    behind = passage.branch(len(embeds), [row.ids[:-1] for row in rows])
    return yes_no.advantage(behind, rows).item()


def moved(pixels, down, right):
    """The image `down` and `right` pixels further up and left, its border drawn out."""
    size = pixels.shape[-1]
    rows, columns = (np.clip(np.arange(size) + way, 0, size - 1) for way in (down, right))
    return np.ascontiguousarray(pixels[:, :, rows][:, :, :, columns])


def asked(model, image, question=QUESTIONS[0]):
    """The image's pixels, the prompt up to it, and the rows of a question."""
    ids = model.prompt_ids(model.chat(Task.REPORT))
    read = ids[: ids.index(IMAGE_SENTINEL) + 1]
    return model.pixel_values(preprocess.gray_image(image)), read, yes_no.rows(model, ids, question)


def test_all_pixels_together_are_what_sharpness_adds(model, image):
    """Their sum is how fast the answer changes half-way from the blurred to the sharp image."""
    pixels, read, rows = asked(model, image)
    patch = pixels.shape[-1] / grid_edge(model.network.tokens_per_image)
    blurred = ndimage.gaussian_filter(pixels, (0, 0, patch / 4, patch / 4))
    way, step = round(0.3 * patch), 1e-3
    # Small steps in float64: a difference of two float32 answers is mostly rounding.
    exact, soft, sharp = in_float64(model), blurred.astype(np.float64), pixels.astype(np.float64)
    wanted = 0.0
    for down in (-way, 0, way):
        for right in (-way, 0, way):
            ends = [
                advantage(exact, moved(soft + (sharp - soft) * share, down, right), read, rows)
                for share in (0.5 + step, 0.5 - step)
            ]
            wanted += (ends[0] - ends[1]) / (2 * step) / 9
    (found,) = details(model.network, pixels, read, [rows])
    assert found.shape == pixels.shape[-2:]
    assert found.sum() == pytest.approx(wanted, rel=1e-3, abs=1e-7)


def test_questions_do_not_see_each_other(model, image):
    """Several questions in one pass give what each gives alone."""
    pixels, read, first = asked(model, image)
    second = asked(model, image, QUESTIONS[1])[2]
    together = details(model.network, pixels, read, [first, second])
    for one, rows in zip(together, (first, second), strict=True):
        (alone,) = details(model.network, pixels, read, [rows])
        np.testing.assert_allclose(one, alone, rtol=1e-3, atol=1e-6)


def test_the_other_family_has_details_too(shared_goldens, image):
    """LLaVA-Rad's tower and layout carry a gradient to its pixels as well."""
    folder = shared_goldens / "llava_rad_tiny_seed0"
    model = registry.load("llava-rad", folder / "llava-rad-tiny", base=folder / "vicuna-tiny")
    pixels, read, rows = asked(model, image)
    (found,) = details(model.network, pixels, read, [rows])
    assert found.shape == pixels.shape[-2:]
    assert np.abs(found).max() > 0


def test_fine_tokens_and_short_memory_need_no_details(model, image, monkeypatch):
    """Where tokens are fine, or a device holds no gradient, only the cells are used; no error."""
    pixels, read, rows = asked(model, image)
    monkeypatch.setattr(
        integrated_gradients, "_FINE_ENOUGH", grid_edge(model.network.tokens_per_image)
    )
    assert details(model.network, pixels, read, [rows]) == [None]
    monkeypatch.undo()

    def short(*_, **__):
        raise torch.OutOfMemoryError("gradients")

    monkeypatch.setattr(model.network.llama, "forward", short)
    assert details(model.network, pixels, read, [rows, rows]) == [None, None]


def test_the_peak_moves_to_the_pixels_near_it_with_the_strongest_support():
    """A thin bright line through the warm cell takes the peak; what lies further away does not."""
    cells = np.full((8, 8), 0.05, np.float32)
    cells[5, 3] = 1
    image = np.full((320, 320), 0.5, np.float32)
    middle = locate(HeatMap(cells), image).peak
    assert middle == pytest.approx((140, 220), abs=8)
    spoke = np.zeros((128, 128), np.float32)
    spoke[91, 50:70] = 1  # in the cell, below its middle
    spoke[20, :] = 9  # louder, in another
    found = locate(HeatMap(cells, spoke), image).peak
    assert found[1] == pytest.approx(91.5 / 128 * 320, abs=1.5)
    assert found[0] == pytest.approx(140, abs=15)
    against = locate(HeatMap(cells, -spoke), image).peak
    assert against == middle
