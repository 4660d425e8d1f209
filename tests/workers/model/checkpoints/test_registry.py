"""Any model loads by its name; a new one is a file and a line."""

import sys
import textwrap

import numpy as np
import pytest
import torch

from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.model.checkpoints import registry
from workers.model.engine.engine import Engine
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.reading.model_loading import load_model

TOY = '''
    """A toy: eight bands of gray are its image tokens."""

    from workers.model import preprocess, prompts
    from workers.model.config import ModelConfig
    from workers.model.checkpoints.llava import Limits, Llava
    from workers.model.checkpoints.loading import filled
    from workers.model.networks.multimodal import Multimodal
    from workers.model.placement import HERE
    from workers.model.tokenizer import Tokenizer
    from workers.model.vlm import Checkpoint
    from workers.model.files.weights import WeightFiles


    class Network(Multimodal):
        tokens_per_image = 8

        def image_tokens(self, pixels):
            bands = pixels.mean(dim=(1, 3)).unflatten(1, (8, -1)).mean(2)  # [B, 8]
            return bands[..., None] * self.lm_head.weight[0].new_ones(self.lm_head.in_features)


    class Toy(Llava):
        def pixel_values(self, image):
            return preprocess.pixel_values(image, self.vision)

        def chat(self, task, question="", indication=""):
            return prompts.chat(task, question)

        def render(self, turns):
            return prompts.render(turns)


    def load(folder, place=HERE):
        config = ModelConfig.from_folder(folder)
        tokenizer = Tokenizer.from_folder(folder, known=config.language.vocab_size)
        network, checkpoint = filled(
            lambda: Network(config.language), WeightFiles.find(folder), place,
            Checkpoint(name="toy"), ignored=("vision_tower.*", "mm_projector.*"),
        )
        limits = Limits(token_budget=2048, positions=2048, new_tokens=None)
        toy = Toy(network, tokenizer, limits, checkpoint)
        toy.vision = config.vision
        return toy
'''


def test_a_fourth_model_is_a_file_and_a_line(tiny_folder, tmp_path, monkeypatch):
    """A file and a line of the registry: the settings take its name, it loads, the engine runs it."""
    (tmp_path / "a_fourth_model.py").write_text(textwrap.dedent(TOY))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.MODELS, "fourth", "a_fourth_model")  # the line
    reading = Reading(model="fourth", model_dir=tiny_folder)
    engine = Engine(load_model(Settings(data_dir=tmp_path, reading=reading)), rows=2)
    image = np.random.default_rng(0).random((90, 70), dtype=np.float32)
    answer = engine.answer(image, Task.REPORT, decoding=Decoding(max_new_tokens=5))
    engine.close()
    assert len(answer.token_ids) == 5
    assert answer.image_tokens.shape == (8, 128)
    assert engine.checkpoint.name == "toy"
    assert engine.checkpoint.weights_sha256
    del sys.modules["a_fourth_model"]


def test_a_record_names_the_libraries(tiny_folder):
    """What a draft records: ourselves and what computes, with versions."""
    versions = registry.load("tiny", tiny_folder).checkpoint.libraries
    assert f"torch {torch.__version__}" in versions
    assert all(f"{name} " in versions for name in ("wetread", "numpy", "pillow", "sentencepiece"))


@pytest.mark.parametrize("text", ["../x", "", "Demo"])
def test_a_name_is_a_name(text):
    """The settings refuse a name that cannot be a key of the registry."""
    with pytest.raises(ValueError, match="model"):
        Reading(model=text, model_dir=".")
