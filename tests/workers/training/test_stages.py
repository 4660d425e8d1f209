"""Training computes what reading computes, repeats itself, and writes files that the loader accepts."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from dicom.content.report import Observation, Side
from dicom.phantom import PhantomFinding
from workers.model import prompts
from workers.model.checkpoints import cxr_llava
from workers.model.networks.multimodal import Passage
from workers.model.prompts import IS_NORMAL, IS_THERE, Task
from workers.model.tokenizer import EOS, Tokenizer
from workers.training import checkpoint, corpus, forward, labels
from workers.training.augment import augment
from workers.training.corpus import Corpus, Text
from workers.training.images import TrainingImages, plan
from workers.training.stages import Recipe, Training

FINDING = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.RIGHT, extent=0.5)
IMAGES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every file but the weights."""
    made = tmp_path_factory.mktemp("demo")
    checkpoint.write_settings(made, corpus.train_tokenizer(), corpus.VOCABULARY)
    return made


@pytest.fixture(scope="module")
def config(folder):
    """The demo model's configuration."""
    return checkpoint.ModelConfig.from_folder(folder)


@pytest.fixture(scope="module")
def text_corpus(folder):
    """Its language."""
    return Corpus(Tokenizer.from_folder(folder))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A few images."""
    return TrainingImages.drawn(range(IMAGES), tmp_path_factory.mktemp("images"), processes=1)


def trained(config, images, text_corpus, epochs):
    """Return a network after `epochs` of each stage, and the losses."""
    network, losses = checkpoint.new_network(config, 1), []
    recipe = Recipe(epochs=epochs, batches=(4, 4, 4))
    training = Training(network, config, images, text_corpus, recipe, losses.append)
    training.labels()
    training.alignment()
    training.tuning()
    return network, losses


def test_patch_tokens_are_the_models_own(config):
    """The encoder that is trained and the one that reads give the same tokens."""
    network = checkpoint.new_network(config, 1).eval()
    pixels = torch.rand(2, 1, 160, 160)
    with torch.no_grad():
        expected = network.vision_tower(pixels)
        found = forward.patch_tokens(network.vision_tower, pixels)
    assert torch.allclose(expected, found, atol=1e-5)


def test_packed_texts_are_read_as_if_each_were_alone(config, text_corpus):
    """Logits of each text in a pack are those of the reader that sees only this text."""
    network = checkpoint.new_network(config, 1).eval()
    image = torch.rand(1, 1, 160, 160)
    texts = [
        Text(Task.REPORT, "", "The heart is enlarged."),
        Text(Task.QUESTION, IS_NORMAL, "No."),
        Text(Task.QUESTION, IS_THERE["edema"], "Yes."),
    ]
    packed = text_corpus.packed([texts])
    with torch.no_grad():
        tokens = forward.patch_tokens(network.vision_tower, image)
        together = network.lm_head(forward.text_hidden(network, tokens, packed))[0]
        start = 0
        for text in texts:
            ids, _ = text_corpus.ids(text)
            alone = [*text_corpus.lead, prompts.IMAGE_SENTINEL, *ids]
            embeds = network.splice(alone, network.image_tokens(image))
            expected = Passage(network, slots=len(embeds)).read(embeds, every=True)[-len(ids) :]
            assert torch.allclose(together[start : start + len(ids)], expected, atol=1e-4)
            start += len(ids)


def test_an_answer_follows_the_prompt_that_the_service_uses(text_corpus, folder):
    """The ids before the answer are exactly the prompt's, and `</s>` ends it."""
    tokenizer = Tokenizer.from_folder(folder)
    for question in (*IS_THERE.values(), IS_NORMAL):
        prompt = prompts.render(prompts.chat(Task.QUESTION, question))
        expected = prompts.prompt_ids(tokenizer, prompt)
        ids, asked = text_corpus.ids(Text(Task.QUESTION, question, "Yes."))
        assert [*text_corpus.lead, prompts.IMAGE_SENTINEL, *ids[:asked]] == expected
        assert ids[-1] == EOS
        assert expected[:2] == [1, 1]


def test_yes_and_no_are_one_id_each(text_corpus):
    """So that their probabilities can be compared at one place."""
    firsts = {}
    for answer in ("Yes", "No"):
        ids, asked = text_corpus.ids(Text(Task.QUESTION, IS_NORMAL, answer))
        assert len(ids) == asked + 2
        firsts[answer] = ids[asked]
    assert firsts["Yes"] != firsts["No"]


def test_the_language_needs_few_ids(text_corpus):
    """A report takes fewer than two ids a word: the tokenizer knows the grammar."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        text = corpus.report_text(plan(seed).findings, rng)
        ids, asked = text_corpus.ids(text)
        assert len(ids) - asked < 2 * len(text.answer.split())


def test_only_answers_are_learnt(text_corpus):
    """No weight lies on a prompt; the decision of a question weighs more."""
    packed = text_corpus.packed([list(corpus.texts((FINDING,), np.random.default_rng(2)))])
    ids, asked = text_corpus.ids(Text(Task.REPORT, "", "x"))
    assert (packed.weight[0, : min(asked, len(ids))] == 0).all()
    assert packed.weight.max() > 1
    assert ((packed.segment == 0) <= (packed.weight == 0)).all()


def test_labels_name_side_and_extent():
    """The label of a planned image is what was drawn."""
    one = plan(0)
    truth = labels.labels([one])
    assert truth.present.sum() == len(one.findings)
    index = [name.value for name in labels.CODED_OBSERVATIONS].index("pneumothorax")
    right = labels.labels([dataclasses.replace(one, findings=(FINDING,))])
    assert right.sides[0, index].tolist() == [1.0, 0.0]
    assert right.extent[0, index] == pytest.approx(0.5)


def test_a_changed_image_keeps_its_mask_in_step():
    """A bright square and its mask move together."""
    gray, masks = torch.zeros(4, 1, 160, 160), torch.zeros(4, 6, 40, 40)
    gray[:, :, 40:72, 56:88] = 1.0
    masks[:, :, 10:18, 14:22] = 1.0
    moved, marked = augment(gray, masks, torch.Generator().manual_seed(3))
    small = torch.nn.functional.avg_pool2d(moved, 4)[:, 0]
    bright = small > small.amin((1, 2), keepdim=True) + 0.4
    assert (bright == (marked[:, 0] > 0.5)).float().mean() > 0.97


@pytest.mark.slow
def test_training_repeats_itself_and_its_files_load(config, images, text_corpus, folder):
    """Two runs give equal weights; the files are a CXR-LLaVA v2 whose caveat says phantoms."""
    first, losses = trained(config, images, text_corpus, (1, 1, 1))
    second, _ = trained(config, images, text_corpus, (1, 1, 1))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert [one.stage for one in losses] == ["labels", "alignment", "tuning"]
    checkpoint.write_weights(folder, first, 1)
    model = cxr_llava.load(folder)
    answer = model.answer(np.zeros((64, 64), np.float32), Task.REPORT)
    assert answer.token_ids
    assert "synthetic images" in model.checkpoint.caveat
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == checkpoint.SHARDS


def test_learning_lowers_the_loss(config, images, text_corpus):
    """A few rounds over a few images lower the loss of every stage."""
    _, losses = trained(config, images, text_corpus, (6, 6, 3))
    for stage in ("labels", "alignment", "tuning"):
        of = [one.loss for one in losses if one.stage == stage]
        assert of[-1] < of[0]
