"""A study becomes a draft and its objects, with a real (tiny) model and real DICOM files."""

import dataclasses
import shutil
import threading
from datetime import UTC, datetime

import pytest
import torch
from safetensors.torch import load_file, save_file

from dicom.content.report import DraftReport, Observation, Predecessor, Presence
from dicom.errors import DecoderDied, OutOfResources
from dicom.phantom import Demographics, as_dataset, draw, draw_lateral, write
from dicom.results.outputs import encode
from dicom.selection.image_selection import Rules
from dicom.selection.local_files import describe
from dicom.spool.levels_file import levels_path, open_index
from dicom.study import Study
from service.errors import (
    PermanentReadingError,
    ReadingCanceled,
    TextNotLanguage,
    TransientReadingError,
)
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.model.checkpoints.tiny import CAVEAT
from workers.model.errors import EngineStopped, GenerationError
from workers.model.prompts import Task
from workers.reading.outcomes import Drafted, NotAnalysed, Unchanged
from workers.reading.reader import Reader
from workers.retry_policy import code, may_pass

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Settings with a data folder of this module's own."""
    return Settings(data_dir=tmp_path_factory.mktemp("data"), reading=Reading(model="tiny"))


@pytest.fixture(scope="module")
def reader(settings):
    """A reader with the tiny model, loaded once."""
    return Reader.from_settings(settings)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A synthetic frontal image as a file."""
    path = tmp_path_factory.mktemp("images") / "image.dcm"
    return write(as_dataset(draw(3, rows=420, columns=400)), path)


def study(*paths):
    """The study of one or more files."""
    instances = tuple(describe(path) for path in paths)
    return Study(study_instance_uid=instances[0].study_instance_uid, instances=instances)


def read(reader, one, **changed):
    """Read a study as its first draft."""
    arguments = {"revision": 1, "predecessor": None, "produced_at": NOW, **changed}
    return reader.read(one, **arguments)


def test_a_frontal_image_becomes_a_draft_with_its_objects(reader, image):
    """Text, findings, source, model and times are there, and four objects that can be encoded."""
    result = read(reader, study(image))
    assert isinstance(result, Drafted)
    draft = result.draft
    assert draft.source.sop_instance_uid == describe(image).sop_instance_uid
    assert (draft.source.rows, draft.source.columns) == (420, 400)
    assert draft.produced_at == NOW
    assert draft.findings_text
    assert [finding.observation for finding in draft.findings] == list(Observation)
    assert set(draft.timings_ms) == {"decode", "wait", "model", "outputs"}
    assert DraftReport.from_json(draft.to_json()) == draft
    assert [output.kind for output in result.outputs] == [
        "draft-report", "findings", "overlay", "report-page",
    ]  # fmt: skip


def test_the_caveat_is_in_the_identity_and_in_every_document(reader, image):
    """Random weights state it: in the model's identity and in the words of both SR documents."""
    assert reader.identity.caveat == CAVEAT
    assert "greedy, 40 new tokens, float32 on cpu" in reader.identity.decoding
    for output in read(reader, study(image)).outputs[:2]:
        texts = [
            str(element.value) for element in output.dataset.iterall() if element.VR in {"UT", "LT"}
        ]
        assert any(CAVEAT in word for word in texts), output.kind


def test_the_same_arguments_give_the_same_bytes(reader, image):
    """A second reading makes the same draft and, byte for byte, the same objects."""
    first, second = read(reader, study(image)), read(reader, study(image))
    assert dataclasses.replace(first.draft, timings_ms={}) == dataclasses.replace(
        second.draft, timings_ms={}
    )
    assert list(map(encode, first.outputs)) == list(map(encode, second.outputs))


def test_a_later_draft_names_the_one_it_supersedes(reader, image):
    """Revision and predecessor arrive in the draft."""
    earlier = Predecessor(
        sop_instance_uid="2.25.1", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
        series_instance_uid="2.25.2",
    )  # fmt: skip
    draft = read(reader, study(image), revision=2, predecessor=earlier).draft
    assert (draft.revision, draft.predecessor) == (2, earlier)


def test_a_lateral_image_is_not_analysed_with_a_reason(reader, tmp_path):
    """Nothing to read: a machine word and a sentence, no draft."""
    path = write(as_dataset(draw_lateral(3, rows=400, columns=400)), tmp_path / "lateral.dcm")
    result = read(reader, study(path))
    assert isinstance(result, NotAnalysed)
    assert result.code.isupper()
    assert result.sentence.endswith(".")


def test_an_image_that_was_read_before_is_not_asked_of_the_model(reader, image, monkeypatch):
    """Where the later images do not change the choice the earlier draft stays and no step is run."""
    monkeypatch.setattr(reader._model, "answer", None)
    result = read(reader, study(image), already_read={describe(image).sop_instance_uid})
    assert isinstance(result, Unchanged)
    assert result.code == "NO_CHANGE"


def test_an_image_that_ends_the_decoder_fails_the_job_with_a_message(reader, settings, image):
    """Its content is unknown: a person must look at it, unless another image of the study is read."""

    def dying(_path, _limits):
        raise DecoderDied("its picture ended the decoder 2 times (SIGSEGV)")

    harmed = Reader(reader._model, settings, reader._equipment, dying)
    with pytest.raises(PermanentReadingError, match="cannot be read: its picture ended"):
        read(harmed, study(image))


def test_a_decoder_that_is_slow_is_tried_again(reader, settings, image):
    """The machine may be slow: the job goes back, and no image is refused for it."""

    def slow(_path, _limits):
        raise OutOfResources("the image was not decoded: the decoder took longer than 60 s")

    with pytest.raises(TransientReadingError, match="longer than 60 s"):
        read(Reader(reader._model, settings, reader._equipment, slow), study(image))


def child_image(folder):
    """An image of a nine-year-old."""
    child = Demographics(
        patient_name="PHANTOM^CHILD", patient_id="PHANTOM-9", age=9, sex="F",
        accession_number="PH9",
    )  # fmt: skip
    return write(as_dataset(draw(3, rows=420, columns=400), patient=child), folder / "child.dcm")


def test_a_child_is_read_only_where_the_site_allows(reader, settings, monkeypatch, tmp_path):
    """Without leave NOT_ANALYSED; with it the pediatric prompt is used and the draft states it."""
    image, asked = child_image(tmp_path), []
    assert isinstance(read(reader, study(image)), NotAnalysed)
    model, original = reader._model, reader._model.answer

    def answer(frame, task, **rest):
        asked.append(task)
        return original(frame, task, **rest)

    monkeypatch.setattr(model, "answer", answer)
    allowed = settings.model_copy(update={"reading": Reading(read_children=True)})
    draft = read(Reader(model, allowed, reader._equipment), study(image)).draft
    assert asked == [Task.PAEDIATRIC_REPORT]
    assert any("child" in note for note in draft.notes)


def answered(reader, image, monkeypatch, text, **checkpoint):
    """The reading of an image by a model with these traits, whose answer is replaced by `text`."""
    original = reader._model.answer

    def answer(*arguments, **rest):
        return dataclasses.replace(original(*arguments, **rest), text=text, ended=True)

    monkeypatch.setattr(reader._model, "answer", answer)
    monkeypatch.setattr(
        reader._model.model,
        "checkpoint",
        dataclasses.replace(reader._model.checkpoint, **checkpoint),
    )
    return read(reader, study(image))


def test_headings_findings_and_notes_come_from_the_text(reader, image, monkeypatch):
    """Impression apart from findings, findings coded, talk of an earlier image marked."""
    text = "FINDINGS: Unchanged left pleural effusion.\nIMPRESSION: Left effusion.\x00</s>"
    draft = answered(reader, image, monkeypatch, text, meaningless=False).draft
    assert draft.findings_text == ("Unchanged left pleural effusion.",)
    assert draft.impression_text == ("Left effusion.",)
    effusion = next(f for f in draft.findings if f.observation is Observation.PLEURAL_EFFUSION)
    assert (effusion.presence.value, effusion.side.value) == ("present", "left")
    assert any("earlier image" in note for note in draft.notes)
    assert not any("cut" in note for note in draft.notes)


def test_random_words_are_never_coded(reader, image, monkeypatch):
    """A model whose text is meaningless may write "pneumothorax": shown with the caveat, not coded."""
    text = "Large right pneumothorax, 3 cm, unchanged."
    result = answered(reader, image, monkeypatch, text)
    assert result.draft.findings_text == (text,)
    assert {finding.presence for finding in result.draft.findings} == {Presence.NOT_CODED}
    assert not any("earlier image" in note for note in result.draft.notes)
    assert all(finding.score is None for finding in result.draft.findings)


def test_the_prompt_is_recorded(reader, image):
    """What the model was asked stands in the draft and in the findings document."""
    result = read(reader, study(image))
    prompt = result.draft.model.prompt
    assert prompt.startswith("<s>[INST] <<SYS>> You are a helpful radiologist.")
    texts = [str(e.value) for e in result.outputs[1].dataset.iterall() if e.VR == "UT"]
    assert any(word.startswith("Prompt: <s>[INST]") for word in texts)


def test_the_indication_reaches_a_model_that_takes_it(reader, monkeypatch, tmp_path):
    """It is recorded, and neither the prompt in the draft nor the findings contain its text."""
    asked, original = [], reader._model.answer
    dataset = as_dataset(draw(3, rows=420, columns=400))
    dataset.ReasonForStudy = "Cough and fever"
    path = write(dataset, tmp_path / "ordered.dcm")

    def answer(*arguments, **rest):
        asked.append(rest["indication"])
        found = original(*arguments, **rest)
        return dataclasses.replace(found, prompt=f"indication: {rest['indication']}!")

    monkeypatch.setattr(reader._model, "answer", answer)
    assert "Cough" not in str(read(reader, study(path)).draft.to_json())
    indicated = dataclasses.replace(reader._model.checkpoint, takes_indication=True)
    monkeypatch.setattr(reader._model.model, "checkpoint", indicated)
    draft = read(reader, study(path)).draft
    assert asked == ["", "Cough and fever"]
    assert draft.model.prompt == "indication: [indication]!"
    assert "Cough" not in str(draft.to_json())
    assert any("prompt contained the indication" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("wanted", "traits", "count"),
    [("auto", {}, 0), ("auto", {"scores_measured": True}, 7), ("on", {}, 7),
     ("off", {"scores_measured": True}, 0)],
)  # fmt: skip
def test_scores_are_asked_where_configured(
    reader, settings, image, monkeypatch, wanted, traits, count
):
    """The setting decides; `auto` asks a model whose scores have been measured."""
    model, traits = reader._model, {"meaningless": False, **traits}
    written, text = model.answer, "The heart size is normal. The lungs are clear."
    monkeypatch.setattr(
        model, "answer", lambda *a, **b: dataclasses.replace(written(*a, **b), text=text)
    )
    monkeypatch.setattr(model.model, "checkpoint", dataclasses.replace(model.checkpoint, **traits))
    asking = settings.model_copy(update={"reading": Reading(scores=wanted)})
    draft = read(Reader(model, asking, reader._equipment), study(image)).draft
    scores = [finding.score for finding in draft.findings if finding.score is not None]
    assert len(scores) == count
    assert all(0 <= score <= 1 for score in scores)


def test_a_text_that_is_no_language_fails_the_job(reader, image, monkeypatch):
    """No draft and no second try, from a model that does not call its text meaningless."""
    text = ">werSRcsstial atele ab ab abJ lyJffu pneumothorax"
    with pytest.raises(TextNotLanguage) as caught:
        answered(reader, image, monkeypatch, text, meaningless=False)
    assert (code(caught.value), may_pass(caught.value)) == ("TEXT_NOT_LANGUAGE", False)
    assert "pneumothorax" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " \n ", "\ufffd\x00", "</s>"])
def test_an_empty_text_is_an_error_and_no_draft(reader, image, monkeypatch, text):
    """A model without output never becomes an empty report."""
    with pytest.raises(PermanentReadingError, match="no text"):
        answered(reader, image, monkeypatch, text)


def damaged(folder, target, name, value):
    """A copy of a checkpoint in which every number of one tensor is `value`."""
    shutil.copytree(folder, target)
    for shard in target.glob("*.safetensors"):
        content = load_file(shard)
        if name in content:
            save_file({**content, name: torch.full_like(content[name], value)}, shard)
    return target


@pytest.mark.parametrize(
    ("value", "message"), [(0.0, "no text"), (float("nan"), "not finite")], ids=["mute", "broken"]
)
def test_a_damaged_checkpoint_never_drafts(tiny_folder, image, tmp_path, value, message):
    """Real weights without output, or compute no numbers, end in an error."""
    folder = damaged(tiny_folder, tmp_path / "damaged", "lm_head.weight", value)
    reading = Reading(model="cxr-llava-v2", model_dir=folder, model_version="7")
    with pytest.raises(PermanentReadingError, match=message):
        read(Reader.from_settings(Settings(data_dir=tmp_path, reading=reading)), study(image))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (MemoryError(), TransientReadingError),
        (OSError(28, "No space left on device"), TransientReadingError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), TransientReadingError),
        (RuntimeError("can't start new thread"), TransientReadingError),
        (RuntimeError("shapes cannot be multiplied"), PermanentReadingError),
        (GenerationError("logits that are not finite"), PermanentReadingError),
    ],
)
def test_each_fault_states_whether_to_try_again(reader, image, monkeypatch, fault, expected):
    """Temporary faults are transient, others permanent; no other error is raised."""

    def fail(_):
        raise fault

    monkeypatch.setattr(reader._model.model.network, "read_images", fail)
    with pytest.raises(expected):
        read(reader, study(image))


def test_a_canceled_reading_ends(reader, image):
    """Withdrawing ends the reading between two tokens."""
    asked = []

    def canceled():
        asked.append(None)
        return len(asked) > 5

    with pytest.raises(ReadingCanceled):
        read(reader, study(image), canceled=canceled)
    assert len(asked) == 6


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    """Wrong settings fail at load with the name of the folder."""
    reading = Reading(model="cxr-llava-v2", model_dir=tmp_path / "nowhere")
    with pytest.raises(PermanentReadingError, match="nowhere: there is no such folder"):
        Reader.from_settings(Settings(data_dir=tmp_path, reading=reading))


def test_several_threads_share_the_model(reader, image, monkeypatch):
    """Four threads read at once: four equal drafts, and more than one answer in a step."""
    network, texts, together = reader._model.model.network, [], []
    original = network.llama.forward

    def forward(embeds, *rest, **how):
        together.append(len(embeds))
        return original(embeds, *rest, **how)

    def one():
        texts.append(read(reader, study(image)).draft.findings_text)

    monkeypatch.setattr(network.llama, "forward", forward)
    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4
    assert len(set(texts)) == 1
    assert max(together) == 2  # reading.concurrency


def test_an_engine_that_stops_is_tried_again(reader, image, monkeypatch):
    """The engine has stopped: another worker may give this one."""

    def stopped(*_, **__):
        raise EngineStopped("the engine has ended")

    monkeypatch.setattr(reader._model, "answer", stopped)
    with pytest.raises(TransientReadingError):
        read(reader, study(image))


def test_a_draft_without_objects_is_the_draft_that_the_service_sends(reader, image):
    """The same text, findings and notes; no object is built."""
    drafted = reader.draft(study(image), produced_at=NOW)
    assert drafted.image.pixels.shape == (420, 400)
    assert drafted.tokens > 0
    sent = read(reader, study(image)).draft
    assert dataclasses.replace(drafted.draft, timings_ms={}) == dataclasses.replace(
        sent, timings_ms={}
    )
    refused = reader.draft(study(image), produced_at=NOW, rules=Rules(
        minimum_age_years=200, read_children=False,
    ))  # fmt: skip
    assert refused.code == "CHILD"


def test_levels_of_a_spooled_image_are_written_when_it_is_read(reader, settings, image, eventually):
    """They lie beside the image before it is opened; beside a file elsewhere none are written."""
    spooled = settings.spool_dir / "ab" / "image.dcm"
    spooled.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image, spooled)
    assert isinstance(read(reader, study(spooled)), Drafted)
    eventually(levels_path(spooled).exists, seconds=30, what="the levels")
    assert open_index(levels_path(spooled)).description["rows"] == 420
    assert isinstance(read(reader, study(image)), Drafted)
    assert not levels_path(image).exists()
