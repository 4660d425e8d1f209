"""Where a model looked: its heat maps against small changes of its cache of the image."""

import numpy as np
import pytest
import torch

from dicom.content.report import Observation, Side
from dicom.phantom import PhantomFinding, draw
from workers.model import preprocess
from workers.model.attribution import yes_no
from workers.model.attribution.attention_attribution import grid_edge, heat_maps
from workers.model.checkpoints import registry
from workers.model.engine.engine import Engine
from workers.model.golden.comparison import in_float64
from workers.model.networks.multimodal import Passage, branched
from workers.model.prompts import IMAGE_SENTINEL, IS_THERE, Task
from workers.model.vlm import Decoding
from workers.reading.content.scores import QUESTIONS

SHORT = Decoding(max_new_tokens=4)


@pytest.fixture(scope="module")
def ids(model):
    """The ids of a report's prompt."""
    return model.prompt_ids(model.chat(Task.REPORT))


@torch.inference_mode()
def kept(model, image, ids):
    """The cache of a prompt about an image that has been read, computed as the engine does."""
    pixels = torch.from_numpy(model.pixel_values(preprocess.gray_image(image)))
    embeds = model.network.splice(ids, model.network.image_tokens(pixels))
    passage = Passage(model.network, slots=len(embeds))
    passage.read(embeds)
    return passage.cache


@pytest.fixture
def cache(model, image, ids):
    """The tiny model's cache of the image."""
    return kept(model, image, ids)


def advantage(model, cache, lead, rows):
    """Return log p(Yes) - log p(No), for one question."""
    behind = branched(
        model.network, cache, lead + model.network.tokens_per_image, [row.ids[:-1] for row in rows]
    )
    return yes_no.advantage(behind, rows).item()


@torch.inference_mode()
def by_small_steps(model, cache, lead, rows, cell):
    """The heat of a cell: what each head's value there, a little more and less of it, changes.

    Of a model in float64: a difference of two float32 answers is mostly rounding.
    """
    total, step, slot = 0.0, 1e-3, lead + cell
    for layer in range(len(cache.values)):
        for head in range(cache.values.shape[2]):
            kept = cache.values[layer, 0, head, slot].clone()
            ends = []
            for factor in (1 + step, 1 - step):
                cache.values[layer, 0, head, slot] = kept * factor
                ends.append(advantage(model, cache, lead, rows))
            cache.values[layer, 0, head, slot] = kept
            total += max(0.0, (ends[0] - ends[1]) / (2 * step))
    return total


def test_the_heat_is_what_each_place_adds_to_yes(model, image, cache, ids):
    """Cell by cell it equals the change of the answer when a head's value there is changed a little."""
    lead = ids.index(IMAGE_SENTINEL)
    rows = yes_no.rows(model, ids, QUESTIONS[0])
    (heat,) = heat_maps(model.network, cache, lead, [rows])
    cells = (9, heat.size - 1)
    exact = in_float64(model)
    exactly = kept(exact, image, ids)
    expected = [by_small_steps(exact, exactly, lead, rows, cell) for cell in cells]
    assert heat.ravel()[list(cells)] == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert heat.min() >= 0 < heat.max()


def test_questions_do_not_see_each_other(model, cache, ids):
    """Several maps in one pass are those of each question alone."""
    lead = ids.index(IMAGE_SENTINEL)
    rows = [yes_no.rows(model, ids, question) for question in QUESTIONS]
    together = heat_maps(model.network, cache, lead, rows)
    for one, row in zip(together[:3], rows[:3], strict=True):
        (alone,) = heat_maps(model.network, cache, lead, [row])
        np.testing.assert_allclose(one, alone, rtol=1e-3, atol=1e-6)


def test_little_memory_makes_maps_one_by_one_or_none(model, cache, ids, monkeypatch):
    """A device that holds two rows still gives each map; one without room gives no map and no error."""
    lead = ids.index(IMAGE_SENTINEL)
    rows = [yes_no.rows(model, ids, question) for question in QUESTIONS[:3]]
    wanted = heat_maps(model.network, cache, lead, rows)
    decoder = model.network.llama.forward

    def holding(most):
        def few_rows(embeds, *rest, **how):
            if len(embeds) > most:
                raise torch.OutOfMemoryError("rows")
            return decoder(embeds, *rest, **how)

        return few_rows

    monkeypatch.setattr(model.network.llama, "forward", holding(2))
    for one, other in zip(heat_maps(model.network, cache, lead, rows), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    monkeypatch.setattr(model.network.llama, "forward", holding(0))
    assert heat_maps(model.network, cache, lead, rows) == [None] * 3


def test_only_a_yes_that_is_to_be_located_has_a_map(tmp_path):
    """The engine's maps are the model's own; text and chances are the same with and without them."""
    model = registry.load("demo", tmp_path)
    fluid = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT, extent=0.8)
    phantom = draw(700_000_000, rows=300, columns=300, findings=(fluid,))
    image = (phantom.pixels / (2**phantom.bits_stored - 1)).astype(np.float32)
    plain = model.answer(image, Task.REPORT, questions=QUESTIONS, decoding=SHORT)
    assert plain.heat == {}
    model.located = frozenset(QUESTIONS)
    alone = model.answer(image, Task.REPORT, questions=QUESTIONS, decoding=SHORT)
    engine = Engine(model, rows=2)
    shared = engine.answer(image, Task.REPORT, questions=QUESTIONS, decoding=SHORT)
    engine.close()
    asked = zip(QUESTIONS, plain.chances, strict=True)
    yes = [question for question, chance in asked if chance >= 0.5]
    assert IS_THERE["pleural effusion"] in yes
    assert list(alone.heat) == list(shared.heat) == yes
    assert alone.token_ids == shared.token_ids == plain.token_ids
    assert alone.chances == plain.chances
    for question in yes:
        one, other = shared.heat[question], alone.heat[question]
        np.testing.assert_allclose(one.cells, other.cells, rtol=1e-2, atol=1e-5)
        np.testing.assert_allclose(one.detail, other.detail, rtol=1e-2, atol=1e-4)


def test_the_other_family_has_maps_too(shared_goldens, image):
    """LLaVA-Rad's questions are located by the same means, through its own layout and tower."""
    folder = shared_goldens / "llava_rad_tiny_seed0"
    model = registry.load("llava-rad", folder / "llava-rad-tiny", base=folder / "vicuna-tiny")
    ids = model.prompt_ids(model.chat(Task.REPORT))
    rows = [yes_no.rows(model, ids, question) for question in QUESTIONS[:2]]
    maps = heat_maps(model.network, kept(model, image, ids), ids.index(IMAGE_SENTINEL), rows)
    edge = grid_edge(model.network.tokens_per_image)
    assert [one.shape for one in maps] == [(edge, edge)] * 2
    assert min(one.max() for one in maps) > 0


def test_an_image_of_one_token_has_no_places():
    """Tokens have places where they make a square grid of some size."""
    assert [grid_edge(tokens) for tokens in (1, 4, 60, 64, 100, 1369)] == [0, 0, 0, 8, 10, 37]
