"""CXR-LLaVA v1: its layout loads and generates, on a small seeded checkpoint of the same names."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from workers.model.checkpoints import registry
from workers.model.errors import CheckpointError
from workers.model.prompts import Task
from workers.model.vlm import Decoding

BLOCKS, WIDTH, EDGE, OUTPUT = (3, 4, 6, 3), 8, 64, 24
HIDDEN, LAYERS, VOCABULARY = 32, 2, 640


def norm(name, channels):
    """Names and shapes of a batch normalization, its counter apart."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts}


def tower_shapes():
    """Names and shapes of open_clip's ModifiedResNet, as the specification lists them."""
    half = WIDTH // 2
    shapes = {"conv1.weight": (half, 3, 3, 3), **norm("bn1", half)}
    shapes |= {"conv2.weight": (half, half, 3, 3), **norm("bn2", half)}
    shapes |= {"conv3.weight": (WIDTH, half, 3, 3), **norm("bn3", WIDTH)}
    before = WIDTH
    for layer, blocks in enumerate(BLOCKS, 1):
        inner = WIDTH * 2 ** (layer - 1)
        after = 4 * inner
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            shapes |= {f"{at}.conv1.weight": (inner, before, 1, 1), **norm(f"{at}.bn1", inner)}
            shapes |= {f"{at}.conv2.weight": (inner, inner, 3, 3), **norm(f"{at}.bn2", inner)}
            shapes |= {f"{at}.conv3.weight": (after, inner, 1, 1), **norm(f"{at}.bn3", after)}
            if block == 0:
                shapes[f"{at}.downsample.0.weight"] = (after, before, 1, 1)
                shapes |= norm(f"{at}.downsample.1", after)
            before = after
    shapes["attnpool.positional_embedding"] = ((EDGE // 32) ** 2 + 1, before)
    for name, out in (("q", before), ("k", before), ("v", before), ("c", OUTPUT)):
        shapes |= {f"attnpool.{name}_proj.weight": (out, before)}
        shapes |= {f"attnpool.{name}_proj.bias": (out,)}
    return shapes


def language_shapes():
    """Names and shapes of projector, decoder and head."""
    square, wide = (HIDDEN, HIDDEN), (2 * HIDDEN, HIDDEN)
    shapes = {"mm_projector.weight": (HIDDEN, OUTPUT), "mm_projector.bias": (HIDDEN,)}
    shapes |= {"lm_head.weight": (VOCABULARY, HIDDEN), "llama.norm.weight": (HIDDEN,)}
    shapes["llama.embed_tokens.weight"] = (VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        at = f"llama.layers.{layer}"
        shapes |= {f"{at}.self_attn.{part}_proj.weight": square for part in "qkvo"}
        shapes |= {f"{at}.mlp.{part}_proj.weight": wide for part in ("gate", "up")}
        shapes[f"{at}.mlp.down_proj.weight"] = wide[::-1]
        shapes |= {
            f"{at}.{part}_layernorm.weight": (HIDDEN,) for part in ("input", "post_attention")
        }
    return shapes


def config():
    """The `config.json` of v1, as far as it is known, with small sizes."""
    return {
        "model_type": "CXR_LLAVA",
        "clip_embed_dim": OUTPUT,
        "clip_vision_cfg": {
            "image_size": EDGE, "layers": list(BLOCKS), "width": WIDTH, "patch_size": None,
        },
        "mm_projector_dim": OUTPUT,
        "llama": {
            "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_hidden_layers": LAYERS,
            "num_attention_heads": 4, "rms_norm_eps": 1e-5, "vocab_size": VOCABULARY,
            "max_position_embeddings": 4096,
        },
    }  # fmt: skip


def weights():
    """Seeded weights under the published names, in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    shapes = {f"vision_tower.{name}": shape for name, shape in tower_shapes().items()}
    content = {}
    for name, shape in (shapes | language_shapes()).items():
        noise = torch.randn(shape, generator=generator)
        fan = noise[0].numel() ** -0.5 if len(shape) > 1 and "embed" not in name else 0.1
        scale = name.endswith(("norm.weight", "running_var")) or (".bn" in name and len(shape) == 1)
        content[name] = (noise * fan + float(scale)).abs().bfloat16() if scale else noise * fan
    content["vision_tower.bn1.num_batches_tracked"] = torch.tensor(7)
    return content


@pytest.fixture(scope="module")
def folder(goldens, tmp_path_factory):
    """A small v1 in two `.bin` shards."""
    target = tmp_path_factory.mktemp("v1")
    shutil.copyfile(goldens / "tokenizer.model", target / "tokenizer.model")
    (target / "config.json").write_text(json.dumps(config()))
    content, names = weights(), {}
    for number, wanted in enumerate((True, False), 1):
        shard = {k: v for k, v in content.items() if k.startswith("vision_tower") == wanted}
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save(shard, target / file)
        names |= dict.fromkeys(shard, file)
    (target / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))
    return target


@pytest.fixture(scope="module")
def model(folder):
    """The small v1, by the name that the settings use."""
    return registry.load("cxr-llava-v1", folder)


def test_the_tower_has_the_published_entries():
    """With the counters of its 55 normalizations the tower has the 339 entries of the published one."""
    shapes = tower_shapes()
    counters = sum(name.endswith("running_mean") for name in shapes)
    assert len(shapes) + counters == 339


def test_it_loads_and_generates(model):
    """An image becomes one token, two images give two texts, and a text is repeatable."""
    image = np.random.default_rng(0).random((70, 90), dtype=np.float32)
    decoding = Decoding(max_new_tokens=12)
    answer = model.answer(image, Task.REPORT, decoding=decoding)
    assert answer.image_tokens.shape == (1, HIDDEN)
    assert answer.prompt.startswith("<s>[INST] <<SYS>>\nYou are a helpful radiologist.")
    assert 1 <= len(answer.token_ids) <= 12
    assert model.answer(image, Task.REPORT, decoding=decoding).token_ids == answer.token_ids
    other = model.answer(image[:, ::-1] ** 3, Task.REPORT, decoding=decoding)
    assert other.token_scores != answer.token_scores
    assert len(model.chances(image, ("Is there an effusion?",))) == 1


def test_images_are_normalized_in_three_channels(model):
    """Gray becomes three equal channels on the scale that the code of v1 falls back to."""
    pixels = model.pixel_values(Image.new("L", (80, 64), 255))
    assert pixels.shape == (1, 3, EDGE, EDGE)
    assert pixels == pytest.approx((1 - 0.5518136078431373) / 0.3821719215686275)


@pytest.mark.parametrize(
    ("key", "value"), [("clip_embed_dim", 25), ("mm_use_im_start_end", True), ("llama", {})]
)
def test_a_configuration_that_does_not_fit_is_refused(folder, tmp_path, key, value):
    """Sizes that differ, keys that are missing, arithmetic that is not implemented: each an error."""
    copy = shutil.copytree(folder, tmp_path / "v1")
    (copy / "config.json").write_text(json.dumps(config() | {key: value}))
    with pytest.raises(CheckpointError):
        registry.load("cxr-llava-v1", copy)
