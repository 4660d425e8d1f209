"""The model against the results of the original code."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from workers.model import preprocess, prompts
from workers.model.config import VisionConfig
from workers.model.golden import cxr_llava, parity
from workers.model.tokenizer import Tokenizer

TASKS = ("report", "ddx", "qa", "multiturn")


@pytest.fixture(scope="module")
def texts(goldens):
    """Prompts, ids and texts as the original code gave them."""
    return json.loads((goldens / "cxr_llava_text.json").read_text())


@pytest.fixture(scope="module")
def tokenizer(goldens):
    """The golden checkpoint's tokenizer, `legacy: false`."""
    return Tokenizer((goldens / "tokenizer.model").read_bytes(), legacy=False, add_bos=True)


def test_every_golden_array_is_reproduced(shared_goldens, capsys):
    """The whole golden folder of CXR-LLaVA v2 holds: pixels, vision, logits, ids, texts."""
    assert parity.main([str(shared_goldens / "cxr_llava_tiny_seed0")]) == 0
    table = capsys.readouterr().out
    assert "DIFFERS" not in table
    for name in ("vision_tokens", "report_prefill_logits", "multiturn greedy text", "L_tall"):
        assert name in table


def test_every_golden_array_of_llava_rad_is_reproduced(shared_goldens, capsys):
    """The whole golden folder of LLaVA-Rad holds: merged weights, pixels, vision, logits, ids, texts."""
    assert parity.main([str(shared_goldens / "llava_rad_tiny_seed0")]) == 0
    table = capsys.readouterr().out
    assert "DIFFERS" not in table
    for name in (
        "merged_layer1_down_proj",
        "vision_tokens",
        "a_step_logits",
        "g greedy text, whole",
    ):
        assert name in table


@pytest.mark.parametrize(
    ("name", "change"),
    [("vision_tokens", 4e-5), ("ddx_first_logits", 4e-4), ("qa_greedy_ids", 1)],
)
def test_a_difference_past_tolerance_fails(shared_goldens, tmp_path, capsys, name, change):
    """The command ends with 1 and names the array when one value is past its tolerance."""
    folder = tmp_path / "golden"
    shutil.copytree(shared_goldens / "cxr_llava_tiny_seed0", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    arrays = dict(np.load(folder / "golden.npz"))
    arrays[name].flat[0] += change
    np.savez(folder / "golden.npz", **arrays)
    assert parity.main([str(folder)]) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
    assert len(wrong) == 1
    assert wrong[0].endswith(name)


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path, capsys):
    """A folder that is no golden folder ends with 1 and a message."""
    assert parity.main([str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("task", TASKS)
def test_prompts_are_rendered_as_the_original(texts, task):
    """Each of the four chats is rendered to the same characters."""
    assert prompts.render(cxr_llava.turns_of(task, texts["question"])) == texts["prompts"][task]


@pytest.mark.parametrize("task", TASKS)
def test_prompts_become_the_original_ids(texts, tokenizer, task):
    """Each prompt becomes the same ids: two BOS first, one sentinel for the path."""
    ids = prompts.prompt_ids(tokenizer, texts["prompts"][task])
    assert ids == texts["input_ids"][task]
    assert ids[:2] == [1, 1]
    assert ids.count(prompts.IMAGE_SENTINEL) == 1


@pytest.mark.parametrize("task", TASKS)
def test_ids_become_the_original_text(texts, tokenizer, task):
    """The original's answers are decoded as by the original, bytes that are no UTF-8 included."""
    assert tokenizer.decode(texts["greedy_ids"][task]) == texts["greedy_texts"][task]


@pytest.mark.parametrize("case", ["L_wide", "L_tall", "L_upscale", "1_bilevel"])
def test_pixels_are_the_original_to_the_bit(goldens, tmp_path, case):
    """Images of odd shapes and modes are resized, cropped and normalized without any difference."""
    arrays = np.load(goldens / "cxr_llava_pixels.npz")
    path = tmp_path / "film.png"
    path.write_bytes(arrays[f"{case}__png"].tobytes())
    config = VisionConfig(
        image_size=64, patch_size=16, width=64, layers=2, head_width=32, mlp_ratio=4.0,
        mean=0.5518136078431373, std=0.3821719215686275,
    )  # fmt: skip
    with Image.open(path) as image:
        pixels = preprocess.pixel_values(image, config)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, arrays[f"{case}__pixel_values"])
