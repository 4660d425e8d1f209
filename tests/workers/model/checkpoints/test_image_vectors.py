"""Vectors of images and texts: equal to what the original arrays and the published tensors give."""

import json
import resource
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from service.search.text_tower import NumpyTextTower, tower_folder
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.model import preprocess
from workers.model.checkpoints import cxr_llava, registry
from workers.model.checkpoints.text_tower import TextTower
from workers.model.engine.engine import Engine
from workers.model.errors import CheckpointError
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.reading.text_tower import export_text_tower

FEW = Decoding(max_new_tokens=2)
CXR, RAD = "cxr_llava_tiny_seed0", "llava_rad_tiny_seed0"


def of_length_one(values):
    """Return a vector divided by its length."""
    return values / np.linalg.norm(values)


def arrays(folder):
    """Return the arrays of a golden folder."""
    return dict(np.load(folder / "golden.npz"))


@pytest.fixture
def rad(shared_goldens, tmp_path):
    """Writable copies of LLaVA-Rad's golden files and its base."""
    parts = []
    for name in ("llava-rad-tiny", "vicuna-tiny"):
        parts.append(tmp_path / name)
        parts[-1].mkdir()
        for file in (shared_goldens / RAD / name).iterdir():
            shutil.copyfile(file, parts[-1] / file.name)
    return tuple(parts)


def tower_tensors(folder):
    """Return the tensors of LLaVA-Rad's towers as arrays."""
    content = torch.load(folder / "biomedclipcxr_518_checkpoint.pt", weights_only=True)
    return {name: tensor.numpy() for name, tensor in content["state_dict"].items()}


def normed(values, tensors, prefix, eps):
    """Return a layer norm over the last axis."""
    centered = values - values.mean(-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps)
    return scaled * tensors[f"{prefix}.weight"] + tensors[f"{prefix}.bias"]


def test_cxr_llava_s_vector_is_its_class_token_projected(shared_goldens):
    """The class token that the original code computed, times the published projection, length 1."""
    folder = shared_goldens / CXR
    golden, model = arrays(folder), cxr_llava.load(folder)
    projection = load_file(folder / "model.safetensors")["vision_tower.proj"].float().numpy()
    expected = of_length_one(golden["vision_ln_post"][0, 0] @ projection)
    answer = model.converse(golden["pixel_values"], model.chat(Task.REPORT), FEW)
    np.testing.assert_allclose(answer.image_vector, expected, atol=1e-5)
    assert model.checkpoint.vector_space.startswith("cxr-clip-")


def test_llava_rad_s_vector_is_from_the_end_of_its_tower(rad, shared_goldens):
    """The last block that the original code computed, then norm, class token and head."""
    golden, tensors = arrays(shared_goldens / RAD), tower_tensors(rad[0])
    model = registry.load("llava-rad", rad[0], base=rad[1])
    last = normed(golden["vision_last_block"], tensors, "module.visual.trunk.norm", 1e-6)
    expected = of_length_one(last[0, 0] @ tensors["module.visual.head.proj.weight"].T)
    answer = model.converse(golden["pixel_values"], model.chat(Task.REPORT), FEW)
    np.testing.assert_allclose(answer.image_vector, expected, atol=1e-5)
    assert model.checkpoint.vector_space.startswith("biomedclip-")


def test_the_image_tokens_are_the_same_bits_with_and_without_a_vector(model, image):
    """The vector comes from the same pass and changes nothing of what the decoder receives."""
    pixels = torch.from_numpy(model.pixel_values(preprocess.gray_image(image)))
    with torch.inference_mode():
        features = model.network.read_images(pixels)
        assert torch.equal(features.tokens, model.network.image_tokens(pixels))
    np.testing.assert_array_equal(features.vectors[0].numpy(), model.image_vector(image))


def test_the_engine_gives_the_vector_of_each_image(model, image):
    """Each caller gets that of its own image, without another pass."""
    passes, read = [], model.network.read_images
    model.network.read_images = lambda pixels: (passes.append(len(pixels)), read(pixels))[1]
    other = np.ascontiguousarray(image[::-1])
    expected = [model.image_vector(each) for each in (image, other)]
    passes.clear()
    engine = Engine(model, rows=2)
    try:
        found = [
            engine.answer(each, Task.REPORT, decoding=FEW).image_vector for each in (image, other)
        ]
    finally:
        engine.close()
        model.network.read_images = read
    assert passes == [1, 1]
    for one, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, wanted, atol=1e-6)
        assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert found[0] @ found[1] < 0.999


def test_a_checkpoint_without_a_head_has_the_mean_of_its_tokens(tiny_folder, tmp_path, image):
    """Its space has another name, so that vectors of two kinds are never compared."""
    folder = shutil.copytree(tiny_folder, tmp_path / "headless")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shard = folder / index["weight_map"].pop("vision_tower.proj")
    weights = load_file(shard)
    del weights["vision_tower.proj"]
    save_file(weights, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model = cxr_llava.load(folder)
    assert model.checkpoint.vector_space.startswith("mean-token-")
    answer = model.answer(image, Task.REPORT, decoding=FEW)
    expected = of_length_one(answer.image_tokens.mean(0))
    np.testing.assert_allclose(answer.image_vector, expected, atol=1e-5)


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "left", "pleural", "eff", "##usion", "."]


@pytest.fixture
def tower(rad):
    """The golden text tower with a small vocabulary."""
    rest = [f"word{number}" for number in range(len(WORDS), 60)]
    (rad[0] / "vocab.txt").write_text("\n".join([*WORDS, *rest]) + "\n")
    return TextTower.from_folder(rad[0])


def test_the_text_tower_is_bert_with_open_clip_s_projection(tower, rad):
    """Computed beside it with numpy, from the tensors of the file: no pooler, no padding."""
    tensors, ids = tower_tensors(rad[0]), [2, 5, 6, 7, 8, 9, 3]
    inner = bert_class_token(tensors, ids) @ tensors[PROJ_0].T
    erf = np.array([float(torch.erf(torch.tensor(each / 2**0.5))) for each in inner])
    expected = of_length_one((inner * 0.5 * (1 + erf)) @ tensors[PROJ_2].T)
    np.testing.assert_allclose(tower.vector("Left  pleural\neffusion."), expected, atol=1e-5)
    assert np.abs(tower.vector("left") - expected).max() > 1e-3


PROJ_0, PROJ_2 = "module.text.proj.0.weight", "module.text.proj.2.weight"
BERT = "module.text.transformer"


def bert_class_token(tensors, ids):
    """Return the first token of BERT's last layer (one head, as the golden's width of 32 has)."""
    embedded = f"{BERT}.embeddings"
    x = tensors[f"{embedded}.word_embeddings.weight"][ids]
    x = x + tensors[f"{embedded}.position_embeddings.weight"][: len(ids)]
    x = normed(
        x + tensors[f"{embedded}.token_type_embeddings.weight"][0],
        tensors,
        f"{embedded}.LayerNorm",
        1e-12,
    )
    for layer in (f"{BERT}.encoder.layer.{number}" for number in range(2)):

        def linear(values, name, layer=layer):
            return values @ tensors[f"{layer}.{name}.weight"].T + tensors[f"{layer}.{name}.bias"]

        q, k, v = (linear(x, f"attention.self.{name}") for name in ("query", "key", "value"))
        weights = np.exp(q @ k.T / q.shape[1] ** 0.5)
        mixed = (weights / weights.sum(1, keepdims=True)) @ v
        x = normed(
            x + linear(mixed, "attention.output.dense"),
            tensors,
            f"{layer}.attention.output.LayerNorm",
            1e-12,
        )
        inner = torch.nn.functional.gelu(torch.from_numpy(linear(x, "intermediate.dense"))).numpy()
        x = normed(x + linear(inner, "output.dense"), tensors, f"{layer}.output.LayerNorm", 1e-12)
    return x[0]


TEXTS = (
    "Left  pleural\neffusion.",
    "",
    "LEFT (pleural) effusions -- left/effusion é",
    "word12 " * 90,
    "x" * 120 + " pleural",
)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_exported_tower_gives_the_same_vectors_without_torch(rad, tower, tmp_path, text):
    """What the web process calculates by numpy; case, accents, marks, unknown and too many words."""
    reading = Reading(model="llava-rad", model_dir=rad[0], base_model_dir=rad[1])
    settings = Settings(data_dir=tmp_path / "data", reading=reading)
    assert export_text_tower(settings)
    assert not export_text_tower(settings)
    exported = NumpyTextTower.from_folder(tower_folder(settings.data_dir, tower.space))
    np.testing.assert_allclose(exported.vector(text), tower.vector(text), atol=2e-6)


def test_a_full_disk_keeps_no_worker_from_starting(tower, rad, tmp_path):
    """The library's error about it is no OSError; nothing unfinished is left."""
    reading = Reading(model="llava-rad", model_dir=rad[0], base_model_dir=rad[1])
    assert sum(each.nbytes for each in tower.tensors().values()) > 20_000
    settings = Settings(data_dir=tmp_path / "data", reading=reading)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        assert not export_text_tower(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [each for each in (tmp_path / "data").rglob("*") if each.is_file()]


def test_text_and_image_vectors_are_of_one_space(tower, rad):
    """Their names are equal, and their lengths too."""
    model = registry.load("llava-rad", rad[0], base=rad[1])
    assert tower.space == model.checkpoint.vector_space
    assert tower.vector("left").shape == (24,)


def test_a_text_tower_without_its_vocabulary_says_which_file_is_missing(rad):
    """The vocabulary is not among the published files of LLaVA-Rad."""
    with pytest.raises(CheckpointError, match=r"vocab\.txt"):
        TextTower.from_folder(rad[0])
