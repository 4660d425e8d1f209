"""What a checkpoint folder must hold to be loaded, and the messages if it does not."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.smolvlm import processing_smolvlm

from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.model.automodel import memory
from workers.model.automodel.batches import BatchEngine
from workers.model.automodel.loading import load
from workers.model.errors import CheckpointError, DeviceError, GenerationError
from workers.model.files import snapshot
from workers.model.files.weights import WeightFiles
from workers.model.placement import Place
from workers.model.profiles.profile import Ability
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.reading.model_loading import reading_model


@pytest.fixture
def copy(checkpoint, tmp_path):
    """A function that returns a copy of a checkpoint, to be damaged."""
    return lambda name: shutil.copytree(checkpoint(name), tmp_path / "copy")


def edited(path, **changes):
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_record_names_weights_libraries_and_what_is_missing(checkpoint, profile):
    """Digest, revision, device, format and the library's version; no regions for any such model."""
    record = load(checkpoint("gemma3"), profile).checkpoint
    weights = WeightFiles.find(checkpoint("gemma3"))
    assert record.weights_sha256 == weights.sha256()
    assert record.revision == f"sha256:{record.weights_sha256[:16]}"
    assert (record.device, record.dtype) == ("cpu", "float32")
    assert "transformers " in record.libraries
    assert record.cannot == (Ability.REGIONS,)
    assert record.licence == profile.card.licence


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_formats_load_and_answer(checkpoint, profile, frames, dtype):
    """Weights and images take the format of the place, and batches are found to be the same."""
    loaded = load(checkpoint("qwen2_vl"), profile, Place(dtype=dtype))
    assert loaded.network.dtype is dtype
    assert loaded.batches
    engine = BatchEngine(loaded, rows=2)
    assert engine.answer(frames[0], Task.REPORT, decoding=Decoding(max_new_tokens=3)).token_ids
    engine.close()


def test_pinned_files_are_compared_before_they_are_loaded(copy, profile):
    """A changed file of a folder with SHA256SUMS is named, and nothing is loaded."""
    folder = copy("gemma3")
    digest = snapshot.pin(folder)
    assert load(snapshot.resolved_folder(folder, digest), profile)
    edited(folder / "config.json", extra=1)
    with pytest.raises(CheckpointError, match=r"changed: config\.json"):
        load(folder, profile)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("gemma3", "image_token_index"),
        ("gemma3", "boi_token_index"),
        ("llava_next", "image_token_index"),
        ("llava_next", "video_token_index"),
        ("qwen2_vl", "video_token_id"),
    ],
)
def test_a_placeholder_beyond_the_vocabulary_is_named(copy, profile, name, key):
    """With its value and the size; the network would index its embedding or its logits with it."""
    folder = copy(name)
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edited(folder / "config.json", **{key: 151647})
    message = rf"config\.json: {key} = 151647 is not .* vocabulary, which has {text['vocab_size']} "
    with pytest.raises(CheckpointError, match=message):
        load(folder, profile)


def test_a_token_beyond_the_vocabulary_is_named(copy, profile):
    """A tokenizer with more words than the embedding has rows."""
    folder = copy("llava_next")
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edited(folder / "config.json", text_config=text | {"vocab_size": 20})
    with pytest.raises(
        CheckpointError, match=r"tokenizer gives '\S+' the id \d+.* has 20 \(vocab_size"
    ):
        load(folder, profile)


def test_a_padding_id_beyond_the_vocabulary_is_an_error_of_the_checkpoint(copy, profile):
    """The library asserts it while it builds the network."""
    folder = copy("llava_next")
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edited(folder / "config.json", text_config=text | {"pad_token_id": 9999})
    with pytest.raises(CheckpointError, match=r"(?i)padding_idx"):
        load(folder, profile)


def test_truncated_weights_are_named_as_incomplete(copy, profile):
    """Before the network is built."""
    file = copy("gemma3") / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    message = (
        rf"the file is incomplete \({len(content) // 2} of at least {len(content)} bytes\): copy"
    )
    with pytest.raises(CheckpointError, match=message):
        load(file.parent, profile)


def test_pickled_weights_are_refused(copy, profile):
    """A `.bin` beside or instead of safetensors is never read."""
    folder = copy("gemma3")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is a pickled file"):
        load(folder, profile)


def test_code_of_a_checkpoint_is_not_executed(copy, profile):
    """`auto_map` with an architecture of its own is refused; the module beside it is not imported."""
    folder = copy("gemma3")
    edited(
        folder / "config.json",
        model_type="their_own",
        auto_map={"AutoConfig": "theirs.Config", "AutoModelForImageTextToText": "theirs.Model"},
    )
    (folder / "theirs.py").write_text("raise SystemExit('executed')")
    with pytest.raises(CheckpointError, match="code of its own"):
        load(folder, profile)


def test_code_of_a_known_architecture_is_not_executed(copy, profile):
    """An `auto_map` of a known architecture, model and processor, is passed over."""
    folder = copy("gemma3")
    auto_map = {"AutoModelForImageTextToText": "theirs.Model", "AutoConfig": "theirs.Config"}
    edited(folder / "config.json", auto_map=auto_map)
    edited(folder / "processor_config.json", auto_map={"AutoProcessor": "theirs.Processor"})
    edited(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["theirs.T", "theirs.T"]})
    (folder / "theirs.py").write_text("raise SystemExit('executed')")
    assert type(load(folder, profile).network).__module__.startswith("transformers.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "config.json is missing"),
        ("model.safetensors", "no weights"),
        ("tokenizer.json", r"missing: tokenizer\.json .*Copy each from where"),
        ("tokenizer_config.json", r"missing: tokenizer_config\.json.*Copy each"),
        (
            "processor_config.json",
            r"missing: preprocessor_config\.json \(or processor_config\.json",
        ),
        ("chat_template.jinja", r"chat_template\.jinja.*copy that file, or add chat_template"),
    ],
)
def test_a_missing_file_is_named(copy, profile, name, message):
    """Each file of a checkpoint, left out: its name and what to do, no download."""
    folder = copy("gemma3")
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        load(folder, profile)


def test_the_processor_files_of_an_older_layout_are_named(copy, profile):
    """The image processor in a file of its own; one message lists all that is missing."""
    folder = copy("qwen2_vl")
    for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(CheckpointError) as raised:
        load(folder, profile)
    assert all(
        name in str(raised.value)
        for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
    )


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "processor_config.json"]
)
def test_a_damaged_file_of_the_processor_is_named(copy, profile, name):
    """Cut in the middle, as by a download that ended early."""
    path = copy("gemma3") / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=rf"{name.replace('.', r'.')}.*not JSON"):
        load(path.parent, profile)


def test_a_missing_package_of_a_processor_is_named_with_its_extra(checkpoint, profile, monkeypatch):
    """SmolVLM's processor refuses to load without num2words: the message states what to install."""
    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(
        CheckpointError,
        match=r"needs the Python package num2words: run `pip install 'wetread\[smolvlm\]'",
    ):
        load(checkpoint("smolvlm"), profile)


def test_smolvlm_reads_with_its_package(checkpoint, profile, frames):
    """With num2words: it loads without torchvision, and two rows are the same as alone."""
    pytest.importorskip("num2words")
    loaded = load(checkpoint("smolvlm"), profile)
    assert loaded.batches
    engine = BatchEngine(loaded, rows=2)
    assert engine.answer(frames[0], Task.REPORT, decoding=Decoding(max_new_tokens=3)).token_ids
    engine.close()


def test_a_checkpoint_without_a_chat_template_takes_the_profiles(copy, profile):
    """Without either the message states where to write one."""
    folder = copy("llava_next")
    layout = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="add chat_template to the profile"):
        load(folder, profile)
    assert load(folder, profile.model_copy(update={"chat_template": layout}))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ raise_exception('no system turn') }}",
            "chat template refuses the prompt: no system turn",
        ),
        ("{% for %}", "chat template refuses the prompt"),
        ("{{ messages[9].role }}", "chat template refuses the prompt"),
        ("no image", "the processor refuses image or prompt"),
    ],
)
def test_a_chat_template_that_fails_is_reported(checkpoint, profile, template, message):
    """A template that raises, is invalid, or omits the image ends in a message."""
    with pytest.raises(GenerationError, match=message):
        load(checkpoint("gemma3"), profile.model_copy(update={"chat_template": template}))


@pytest.mark.parametrize("change", ["missing", "shape", "truncated"])
def test_weights_that_do_not_fit_are_refused(copy, profile, change):
    """The library would fill them with random numbers; here the tensor or file is named."""
    folder = copy("llava_next")
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(one for one in weights if one.endswith("q_proj.weight"))
    if change == "missing":
        del weights[name]
    elif change == "shape":
        weights[name] = weights[name][:-1].clone()
    save_file(weights, path, metadata={"format": "pt"})
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    messages = {
        "missing": "missing: .*q_proj",
        "shape": r"q_proj\.weight \(63, 64\) instead of \(64, 64\)",
        "truncated": r"model\.safetensors",
    }
    with pytest.raises(CheckpointError, match=messages[change]):
        load(folder, profile)


def test_too_little_memory_is_reported_before_loading(checkpoint, profile, monkeypatch):
    """How much is needed and free, and with how many rows or which format it would fit."""
    monkeypatch.setattr(memory.memory, "free", lambda _: 2**27 + 2_000_000)
    with pytest.raises(
        DeviceError, match=r"needs 0\.\d GB as float32 .* it would fit with \d+ at once"
    ):
        load(checkpoint("gemma3"), profile, Place(rows=64))
    monkeypatch.setattr(memory.memory, "free", lambda _: 2**20)
    with pytest.raises(DeviceError, match="does not fit in any supported number format"):
        load(checkpoint("gemma3"), profile)


def test_batches_that_differ_from_single_rows_are_not_used(checkpoint, profile, monkeypatch):
    """A model that attends to its padding gets one row at a time."""
    from workers.model.automodel import generating  # noqa: PLC0415 - patched

    real = generating.collated

    def unmasked(rows, written, pad_id):
        made = real(rows, written, pad_id)
        made["attention_mask"].fill_(1)
        return made

    monkeypatch.setattr(generating, "collated", unmasked)
    loaded = load(checkpoint("llava_next"), profile)
    assert not loaded.batches
    engine = BatchEngine(loaded, rows=16)
    assert engine.rows == 1
    engine.close()
    lines = []
    table = {"kind": "transformers", "model": "own", "profile": "generic", "samples": 1}
    reading = Reading(**table, model_dir=checkpoint("llava_next"))
    reading_model(Settings(reading=reading), lines.append).close()
    assert any(line.startswith("warning: images are read one at a time") for line in lines)


def test_words_for_yes_and_no_that_begin_alike_are_refused(checkpoint, profile):
    """Scores need first tokens that differ; the message names the keys."""
    scores = profile.scores.model_copy(update={"yes": ("normal",), "no": ("normal size",)})
    with pytest.raises(CheckpointError, match=r"scores\.yes from scores\.no"):
        load(checkpoint("gemma3"), profile.model_copy(update={"scores": scores}))


def test_a_stop_word_ends_an_answer_and_is_left_out(checkpoint, profile, frames):
    """The first word of an answer, made a stop word: the answer ends there, complete and empty."""
    engine = BatchEngine(load(checkpoint("qwen2_vl"), profile), rows=1)
    whole = engine.answer(frames[0], Task.REPORT, decoding=Decoding(max_new_tokens=12))
    word = whole.text.split()[2]
    engine.close()
    form = profile.answer.model_copy(update={"stop": (word,)})
    stopping = load(checkpoint("qwen2_vl"), profile.model_copy(update={"answer": form}))
    engine = BatchEngine(stopping, rows=1)
    answer = engine.answer(frames[0], Task.REPORT, decoding=Decoding(max_new_tokens=12))
    engine.close()
    assert answer.ended
    assert word not in answer.text
    assert whole.text.startswith(answer.text.strip())
    assert len(answer.token_ids) <= len(whole.token_ids)


def test_what_a_model_thinks_before_its_answer_is_left_out(checkpoint, profile):
    """The answer begins after the last special token that the profile names."""
    form = profile.answer.model_copy(update={"begins_after": "<end_of_utterance>"})
    loaded = load(checkpoint("idefics3"), profile.model_copy(update={"answer": form}))
    ids_of = loaded.maker.tokenizer.convert_tokens_to_ids
    ids = ids_of(
        ["edema", "<end_of_utterance>", "left", "<end_of_utterance>", "clear", "lungs", "</s>"]
    )
    assert loaded.text(ids) == "clear lungs"
    assert loaded.text(ids[4:]) == "clear lungs"
