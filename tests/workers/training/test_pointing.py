"""The last stage: its questions, and the distance of a model's attention from a finding."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - the customary name

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import PhantomFinding
from workers.model.tokenizer import Tokenizer
from workers.training import checkpoint, corpus, pointing
from workers.training.corpus import Corpus

AIR = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.RIGHT, extent=0.5)
NUMBER = CODED_OBSERVATIONS.index(Observation.PNEUMOTHORAX)
GRID = 10


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """An image's texts, with the place of its one yes."""
    folder = tmp_path_factory.mktemp("demo")
    checkpoint.write_settings(folder, corpus.train_tokenizer(), corpus.VOCABULARY)
    texts = list(pointing.texts([AIR], np.random.default_rng(0)))
    (place,) = [n for n, (_, finding) in enumerate(texts, 1) if finding is not None]
    text_corpus = Corpus(Tokenizer.from_folder(folder))
    return text_corpus.packed([[text for text, _ in texts]]), pointing.Pointed(0, place, NUMBER)


def watching(packed, taken):
    """One layer of one head in which every token has the attention `taken` [P] on the image's tokens."""
    lead, behind = len(packed.lead), len(packed.lead) + GRID * GRID
    layer = torch.zeros(1, 1, behind + packed.ids.shape[1], behind + packed.ids.shape[1])
    layer[..., lead:behind] = taken
    return [layer]


def test_what_is_there_is_asked_for_first():
    """A report, then three findings; those that are on the image have a place."""
    texts = list(pointing.texts([AIR], np.random.default_rng(1)))
    assert [finding for _, finding in texts] == [None, NUMBER, None, None]
    assert texts[1][0].answer.startswith("Yes")
    assert all(text.answer.startswith("No") for text, _ in texts[2:])
    assert [finding for _, finding in pointing.texts([], np.random.default_rng(1))] == [None] * 4


def test_looking_at_the_finding_costs_nothing_and_elsewhere_much(packed):
    """The loss is 0 where the attention has the mask's shape, and high where it is beside it."""
    texts, asked = packed
    masks = torch.zeros(1, len(CODED_OBSERVATIONS), 40, 40)
    masks[0, NUMBER, 4:16, 20:30] = 1
    cover = F.adaptive_avg_pool2d(masks[0, NUMBER][None], GRID).flatten()
    exact = pointing.loss(watching(texts, cover), texts, masks, [asked])
    beside = pointing.loss(watching(texts, cover.flip(0)), texts, masks, [asked])
    even = pointing.loss(watching(texts, torch.ones(GRID * GRID)), texts, masks, [asked])
    assert exact.item() == pytest.approx(0, abs=1e-3)
    assert beside > even > 1


def test_a_finding_outside_the_square_is_not_looked_for(packed):
    """Without a mask, or without a question, there is nothing to learn."""
    texts, asked = packed
    layers = watching(texts, torch.ones(GRID * GRID))
    nothing = torch.zeros(1, len(CODED_OBSERVATIONS), 40, 40)
    assert pointing.loss(layers, texts, nothing, [asked]) == 0
    assert pointing.loss(layers, texts, nothing, []) == 0
