"""Agreement with sampled reports: written, counted and shown; without samples nothing changes."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from dicom.content.report import Agreement, DraftReport, Observation, Presence
from dicom.phantom import as_dataset, draw, random_findings, write
from dicom.results.outputs import encode
from dicom.selection.local_files import describe
from dicom.study import Study
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from tests.servers import wait_until
from workers.labeller.findings import label
from workers.model.checkpoints import registry
from workers.model.engine.engine import Engine
from workers.model.errors import Canceled
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.reading.content.agreement import agreed, doubts, sampled_beside
from workers.reading.model_loading import decoding, rows, sampling
from workers.reading.reader import Reader

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SHORT = Decoding(max_new_tokens=12)
SAMPLES = tuple(Decoding(max_new_tokens=12, temperature=1.0, seed=seed) for seed in (1, 2, 3))


def of(findings, observation):
    """The finding of this name."""
    return next(one for one in findings if one.observation is observation)


# --- counting


@pytest.mark.parametrize(
    ("draft", "samples", "name", "same"),
    [
        ("Right pneumothorax.", ["Right pneumothorax.", "A right pneumothorax."], "PNEUMOTHORAX", 2),
        ("Right pneumothorax.", ["Left pneumothorax.", "Pneumothorax."], "PNEUMOTHORAX", 0),
        ("Pneumothorax.", ["Left pneumothorax.", "No pneumothorax."], "PNEUMOTHORAX", 1),
        ("No edema.", ["No edema.", "The lungs are clear."], "EDEMA", 1),
        ("Possible edema.", ["Edema.", "Possible edema."], "EDEMA", 1),
    ],
)  # fmt: skip
def test_a_sample_that_states_the_same_is_counted(draft, samples, name, same):
    """The same presence, and the same side if the draft states one."""
    findings = agreed(label(draft), list(map(label, samples)))
    assert of(findings, Observation[name]).agreement == Agreement(same=same, samples=len(samples))


def test_only_what_a_sentence_states_is_compared():
    """An unmentioned finding has no agreement, nor has the absence of all findings."""
    findings = agreed(label("No edema."), [label("No edema.")])
    compared = [one.observation for one in findings if one.agreement is not None]
    assert compared == [Observation.EDEMA]
    assert agreed(label("No edema."), []) == label("No edema.")


@pytest.mark.parametrize(
    ("draft", "samples", "expected"),
    [
        (
            "Right pneumothorax.", ["No pneumothorax."] * 5 + ["Right pneumothorax."] * 3,
            "Only 3 of 8 sampled readings state that right pneumothorax is present, as the draft does.",
        ),
        (
            "Possible edema.", ["No edema."] * 2,
            "None of 2 sampled readings state that edema is possible, as the draft does.",
        ),
        (
            "No edema.", ["Edema."] * 3 + ["No edema."],
            "Only 1 of 4 sampled readings state that edema is absent, as the draft does.",
        ),
        ("No edema.", ["Clear lungs."] * 3 + ["No edema."], None),
        ("Edema.", ["Edema."] * 2 + ["No edema."] * 2, None),
        (
            "Clear lungs.", ["Edema."] * 3 + ["Clear lungs."],
            "3 of 4 sampled readings mention edema; the draft does not.",
        ),
        ("Clear lungs.", ["Edema."] * 2 + ["Clear lungs."] * 2, None),
    ],
)  # fmt: skip
def test_the_reader_is_reported_where_most_samples_state_otherwise(draft, samples, expected):
    """Few agree with the draft, or most state what it omits; an omission contradicts no absence."""
    labelled = list(map(label, samples))
    notes = list(doubts(agreed(label(draft), labelled), labelled, len(samples)))
    assert len(notes) == (expected is not None)
    assert expected is None or expected in notes[0]


def test_samples_that_could_not_be_written_are_reported():
    """The reader sees the number of samples; a failed sample counts neither way."""
    labelled = [label("No edema.")]
    notes = list(doubts(agreed(label("No edema."), labelled), labelled, 8))
    assert notes == ["Only 1 of 8 sampled readings could be made."]


def test_the_settings_state_how_samples_are_written():
    """As many as asked for, with the draft's bounds, a temperature and seeds of their own."""
    settings = Settings(reading=Reading(samples=3, sample_temperature=0.7, seed=5, concurrency=2))
    draft = decoding(settings, None)
    samples = sampling(settings, draft)
    assert [one.seed for one in samples] == [6, 7, 8]
    assert {one.temperature for one in samples} == {0.7}
    assert (draft.greedy, draft.seed) == (True, 5)
    assert rows(settings) == 8
    assert sampled_beside(samples).startswith(
        "; compared with 3 sampled: temperature 0.7, top_p 0.8"
    )
    assert (sampling(Settings(), draft), sampled_beside(())) == ((), "")
    assert rows(Settings()) == Settings().reading.concurrency


# --- writing


@pytest.fixture
def tiny(tiny_folder):
    """The tiny model, an engine's own."""
    return registry.load("tiny", tiny_folder)


@pytest.fixture
def engine(tiny):
    """A running engine with eight rows: two reports of three samples each."""
    running = Engine(tiny, rows=8)
    yield running
    running.close()


def images(count):
    """Images of noise, float32 [90, 70] in 0..1."""
    return np.random.default_rng(6).random((count, 90, 70), dtype=np.float32)


def test_samples_are_what_each_would_be_alone(tiny_folder, engine):
    """Five images with three samples each through eight rows: every text as of a model used alone."""
    plain, shots = registry.load("tiny", tiny_folder), images(5)
    with ThreadPoolExecutor(5) as callers:
        futures = [
            callers.submit(engine.answer, image, Task.REPORT, decoding=SHORT, samples=SAMPLES)
            for image in shots
        ]
        answers = [future.result(60) for future in futures]
    for image, answer in zip(shots, answers, strict=True):
        alone = [plain.answer(image, Task.REPORT, decoding=how) for how in (SHORT, *SAMPLES)]
        assert answer.token_ids == alone[0].token_ids
        assert answer.samples == tuple(one.text for one in alone[1:])
    assert len(set(answers[0].samples)) == len(SAMPLES)


def test_the_image_is_read_once_for_all_samples(engine, monkeypatch):
    """The tower sees one image, and the samples' first tokens come with the report's own."""
    seen, network = [], engine.model.network
    look = network.read_images
    monkeypatch.setattr(
        network, "read_images", lambda pixels: (seen.append(len(pixels)), look(pixels))[1]
    )
    engine.answer(images(1)[0], Task.REPORT, decoding=SHORT, samples=SAMPLES)
    assert seen == [1]


def test_more_samples_than_rows_are_written_too(tiny):
    """An engine that is too small for one report with its samples grows for it."""
    running = Engine(tiny, rows=2)
    answer = running.answer(images(1)[0], Task.REPORT, decoding=SHORT, samples=SAMPLES)
    assert len(answer.samples) == 3
    running.close()


def test_samples_leave_with_their_job(engine):
    """A caller that withdraws leaves no row behind, and the next one is served."""
    withdrawn = threading.Event()
    asked = []

    def canceled():
        asked.append(None)
        if len(asked) > 12:
            withdrawn.set()
        return withdrawn.is_set()

    with pytest.raises(Canceled):
        engine.answer(images(1)[0], Task.REPORT, samples=SAMPLES, canceled=canceled)
    engine.answer(images(1)[0], Task.REPORT, decoding=SHORT)
    # The engine's thread removes the row after it has given the answer.
    wait_until(lambda: engine._rows == [], seconds=30, what="the removal of the rows")


def test_where_memory_is_short_the_report_comes_without_samples(engine, monkeypatch):
    """An image whose samples do not fit still gets its report."""
    grow = engine._grow

    def short(orders):
        if len(orders) > 1:
            raise MemoryError
        grow(orders)

    monkeypatch.setattr(engine, "_grow", short)
    answer = engine.answer(images(1)[0], Task.REPORT, decoding=SHORT, samples=SAMPLES)
    assert (bool(answer.token_ids), answer.samples) == (True, ())


def test_one_sample_that_fails_affects_no_other(engine, monkeypatch):
    """A sample whose logits are no numbers is missing; the report and the others are there."""
    step = engine._next_logits

    def broken(orders, start):
        logits = step(orders, start)
        for row, order in enumerate(orders):
            if order.writing.decoding.seed == 2:
                logits[row] = torch.nan
        return logits

    monkeypatch.setattr(engine, "_next_logits", broken)
    answer = engine.answer(images(1)[0], Task.REPORT, decoding=SHORT, samples=SAMPLES)
    assert (bool(answer.token_ids), len(answer.samples)) == (True, 2)


# --- the whole way


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of one synthetic image with findings."""
    found = random_findings(np.random.default_rng(4))
    path = tmp_path_factory.mktemp("images") / "image.dcm"
    instance = describe(write(as_dataset(draw(4, rows=420, columns=400, findings=found)), path))
    return Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))


@pytest.fixture(scope="module")
def drafted(study, tmp_path_factory):
    """The same image read by the demo model without samples, and with eight."""
    folder = tmp_path_factory.mktemp("data")

    def read(samples):
        settings = Settings(data_dir=folder, reading=Reading(samples=samples, concurrency=1))
        reader = Reader.from_settings(settings)
        result = reader.read(study, revision=1, predecessor=None, produced_at=NOW)
        reader._model.close()
        return result

    return {samples: read(samples) for samples in (0, 8)}


def test_samples_change_nothing_of_what_the_draft_states(drafted):
    """Text, findings, scores and regions are those of a draft without samples."""
    off, on = drafted[0].draft, drafted[8].draft
    assert (on.findings_text, on.impression_text) == (off.findings_text, off.impression_text)
    bare = [dataclasses.replace(one, agreement=None) for one in on.findings]
    assert [dataclasses.replace(one, score=None) for one in bare] == [
        dataclasses.replace(one, score=None) for one in off.findings
    ]
    stated = [one for one in on.findings if one.sentence is not None]
    assert stated
    assert all(one.agreement is not None and one.agreement.samples == 8 for one in stated)


def test_the_draft_records_how_its_samples_were_written(drafted):
    """Number, temperature and seeds stand behind the draft's own decoding, where there are any."""
    assert "compared with 8 sampled: temperature 1" in drafted[8].draft.model.decoding
    assert "up to seed 8" in drafted[8].draft.model.decoding
    assert "sampled" not in drafted[0].draft.model.decoding


def test_a_draft_without_samples_has_no_trace_of_them(drafted):
    """Its JSON has no such field, so that objects and sidecars stay as they were byte for byte."""
    plain = json.dumps(drafted[0].draft.to_json())
    assert "agreement" not in plain
    assert not any(b"agree" in encode(output).lower() for output in drafted[0].outputs)


def test_agreement_comes_back_from_json(drafted):
    """Drafts with and without agreement load unchanged."""
    for one in drafted.values():
        assert DraftReport.from_json(json.loads(json.dumps(one.draft.to_json()))) == one.draft


def test_a_meaningless_text_is_not_sampled(tmp_path, study):
    """Random weights are not asked eight times more: nothing of what they write is coded."""
    settings = Settings(data_dir=tmp_path, reading=Reading(model="tiny", samples=8))
    reader = Reader.from_settings(settings)
    draft = reader.read(study, revision=1, predecessor=None, produced_at=NOW).draft
    assert all(one.agreement is None for one in draft.findings)
    assert not any("sampled" in note for note in (*draft.notes, draft.model.decoding))
    assert {one.presence for one in draft.findings} == {Presence.NOT_CODED}
