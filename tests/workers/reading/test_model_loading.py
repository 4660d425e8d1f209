"""The settings decide which model reads and how it samples tokens."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.model.engine.engine import Engine
from workers.model.errors import CheckpointError
from workers.model.prompts import Task
from workers.reading.model_loading import decoding, load_model, no_progress, reading_model
from workers.reading.reader import Reader


def settings(tmp_path, **reading):
    """Settings for the tiny model."""
    return Settings(data_dir=tmp_path, reading=Reading(model="tiny", **reading))


def test_greedy_is_the_default(tmp_path):
    """Without settings the likeliest token is taken, in float32 on the CPU."""
    chosen = decoding(settings(tmp_path), None)
    assert chosen.greedy
    assert chosen.describe() == "greedy, 512 new tokens"
    assert decoding(settings(tmp_path), 40).max_new_tokens == 40
    checkpoint = load_model(settings(tmp_path)).checkpoint
    assert (checkpoint.device, checkpoint.dtype) == ("cpu", "float32")


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ({"kind": "transformers", "model": "own", "profile": "generic"}, "model_dir"),
        ({"model": "cxr-llava-v2"}, "model_dir"),
        ({"model": "llava-rad"}, "base_model_dir"),
    ],
)
def test_a_folder_that_does_not_exist_or_is_a_file_is_named_with_its_key(tmp_path, keys, wrong):
    """No list of missing files, of which there may be none in the right folder."""
    (there := tmp_path / "there").mkdir()
    (file := tmp_path / "model.safetensors").write_bytes(b"")
    for path, message in ((tmp_path / "none", "there is no such folder"), (file, "is a file")):
        folders = {"model_dir": there} | {wrong: path}
        chosen = Settings(data_dir=tmp_path, reading=Reading(**keys, **folders))
        with pytest.raises(CheckpointError, match=f"{path}: {message}: correct reading.{wrong}"):
            reading_model(chosen, no_progress)


def test_only_safetensors_are_asked_for_where_pickles_are_refused(tmp_path):
    """An empty folder for the kind transformers."""
    keys = {"kind": "transformers", "model": "own", "profile": "generic", "model_dir": tmp_path}
    with pytest.raises(CheckpointError, match="no weights") as caught:
        reading_model(Settings(data_dir=tmp_path, reading=Reading(**keys)), no_progress)
    assert ".bin" not in str(caught.value)


def test_sampling_is_recorded_in_full(tmp_path):
    """Temperature, top_p, top_k and seed reach the record of every draft, with format and libraries."""
    chosen = settings(
        tmp_path, temperature=0.7, top_p=0.9, top_k=20, seed=11, max_new_tokens=30,
        dtype="bfloat16",
    )  # fmt: skip
    described = Reader.from_settings(chosen).identity.decoding
    assert described.startswith(
        "temperature 0.7, top_p 0.9, top_k 20, seed 11, 30 new tokens, bfloat16"
    )
    assert " on cpu, wetread " in described
    assert ", torch " in described


def test_a_seed_gives_the_same_text_beside_other_requests(tmp_path):
    """Sampled alone, and among five others of other seeds: the same ids; another seed, others."""
    chosen = settings(tmp_path, temperature=1.0, seed=3, max_new_tokens=20)
    image = np.random.default_rng(1).random((80, 80), dtype=np.float32)
    engine = Engine(load_model(chosen), rows=6)

    def ask(seed):
        how = decoding(settings(tmp_path, temperature=1.0, seed=seed, max_new_tokens=20), None)
        return engine.answer(image, Task.REPORT, decoding=how).token_ids

    alone = ask(3)
    with ThreadPoolExecutor(6) as callers:
        together = list(callers.map(ask, (1, 2, 3, 4, 5, 3)))
    engine.close()
    assert together[2] == together[5] == alone
    assert len(set(together)) == 5


@pytest.mark.parametrize(("key", "value"), [
    ("temperature", -1), ("top_p", 0), ("top_p", 1.5), ("top_k", -1), ("seed", -1),
    ("model_sha256", "abc"), ("quantisation", "int3"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(key, value):
    """A setting out of its range is named."""
    with pytest.raises(ValueError, match=key):
        Reading(**{key: value})


def test_a_built_in_model_states_the_licence_of_its_profile(tiny_folder, tmp_path):
    """Licence and intended use come from the shipped profile of the same name."""
    reading = Reading(model="cxr-llava-v2", model_dir=tiny_folder)
    record = load_model(Settings(data_dir=tmp_path, reading=reading)).checkpoint
    assert record.licence.startswith("cc-by-nc-4.0")
    assert record.intended_use.startswith("Research only")
    assert record.cannot == ()
