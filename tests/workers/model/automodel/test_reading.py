"""Checkpoints of four architectures, and the demo model as a LLaVA, through the real reading path."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom.content.report import CODED_OBSERVATIONS, DraftReport, Observation, Presence, Side
from dicom.phantom import Demographics, PhantomFinding, as_dataset, draw, random_findings, write
from dicom.selection.local_files import describe
from dicom.study import Study
from dicom.validation.result_object import faults
from service.checks.model import model_checks
from service.errors import PermanentReadingError, TextNotLanguage
from service.settings.config import Settings, as_environment, load_settings
from service.settings.keys.reading import Reading
from workers.model.automodel.loading import load
from workers.model.checkpoints import registry
from workers.model.errors import CheckpointError
from workers.model.files import snapshot
from workers.model.profiles.card import model_card
from workers.model.profiles.load import SHIPPED, load_profile
from workers.model.prompts import Task
from workers.reading.outcomes import Drafted, NotAnalysed
from workers.reading.reader import Reader
from workers.reading.self_test import read_phantoms
from workers.reading.trial import trial
from workers.training import as_llava

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
FIRST_SEED = 710_000_000
IMAGES = 12
MARK = " (unverified AI draft of a phantom, no patient)"
CAVEAT = "The weights of this model are random: its text is meaningless."
RANDOM = f'random_weights = true\ncaveat = "{CAVEAT}"\n'


@pytest.fixture
def own_profile(tmp_path):
    """A function that writes the generic profile with more keys in its card; returns the path."""

    def written(card=""):
        text = (SHIPPED / "generic.toml").read_text(encoding="utf-8")
        path = tmp_path / "profile.toml"
        path.write_text(text.replace("[card]\n", f"[card]\n{card}"), encoding="utf-8")
        return path

    return written


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory):
    """The demo model as a LLaVA checkpoint, with its profile."""
    folder = tmp_path_factory.mktemp("demo-as-llava")
    as_llava.write(folder)
    return folder


@pytest.fixture(scope="module")
def demo_reader(demo_folder, tmp_path_factory):
    """The service's reader with the demo model as a LLaVA."""
    settings = own(demo_folder, demo_folder / "profile.toml", tmp_path_factory.mktemp("data"))
    return Reader.from_settings(settings)


def own(folder, profile, data, **reading):
    """Settings of a model that is not built in."""
    table = {"kind": "transformers", "model": "own", "model_dir": folder, "profile": str(profile)}
    return Settings(data_dir=data, reading=Reading(**{**table, **reading}))


def drafted(reader, path):
    """Return what a reader makes of one image."""
    instance = describe(path)
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    return reader.read(study, revision=1, predecessor=None, produced_at=NOW)


def phantom(folder: Path, seed=3, findings=(), **more):
    """Write a synthetic image; return its path."""
    image = as_dataset(draw(seed, rows=300, columns=300, findings=findings), **more)
    return write(image, folder / f"{seed}.dcm")


def test_each_architecture_reads_an_image_to_valid_objects(
    architecture, checkpoint, own_profile, tmp_path
):
    """From settings to objects: every object is valid, and states that the weights are random."""
    settings = own(checkpoint(architecture), own_profile(RANDOM), tmp_path, max_new_tokens=20)
    result = drafted(Reader.from_settings(settings), phantom(tmp_path))
    assert isinstance(result, Drafted)
    assert result.draft.model.name == "generic model"
    assert CAVEAT in result.draft.model.caveat
    assert "20 new tokens" in result.draft.model.decoding
    assert re.search(r", profile sha256:[0-9a-f]{16}$", result.draft.model.decoding)
    assert [one.kind for one in result.outputs] == [
        "draft-report", "findings", "overlay", "report-page",
    ]  # fmt: skip
    for output in result.outputs:
        assert faults(output.dataset) == ()
    assert any("shows no regions" in note for note in result.draft.notes)
    assert result.draft.model.licence.startswith("not stated")
    assert result.draft.model.cannot == ("regions",)
    texts = [str(one.value) for one in result.outputs[0].dataset.iterall() if one.VR == "UT"]
    assert any("This model shows no regions." in each for each in texts)
    assert DraftReport.from_json(result.draft.to_json()) == result.draft
    assert {one.presence for one in result.draft.findings} == {Presence.NOT_CODED}


def test_text_that_is_no_language_fails_the_job(checkpoint, own_profile, tmp_path):
    """A profile that does not state that the weights are random: validation refuses their text."""
    settings = own(checkpoint("llava_next"), own_profile(), tmp_path, max_new_tokens=30)
    with pytest.raises(TextNotLanguage, match="random_weights = true") as caught:
        drafted(Reader.from_settings(settings), phantom(tmp_path))
    assert "wetread check" not in str(caught.value)


def test_random_weights_read_no_patient(checkpoint, own_profile, tmp_path):
    """An image that is not marked as synthetic is not analyzed."""
    image = as_dataset(draw(3, rows=300, columns=300))
    image.Manufacturer = "Real Detectors"
    settings = own(checkpoint("gemma3"), own_profile(RANDOM), tmp_path)
    result = drafted(Reader.from_settings(settings), write(image, tmp_path / "image.dcm"))
    assert isinstance(result, NotAnalysed)
    assert result.code == "NO_MODEL_FOR_PATIENTS"
    assert "generic model reads synthetic images only (random_weights = true" in result.sentence


@pytest.mark.slow
def test_the_demo_model_as_a_llava_writes_the_same_reports(demo_reader, tmp_path):
    """Texts and findings on images that are new to both equal those of the built-in demo model."""
    built_in = Reader.from_settings(Settings(data_dir=tmp_path, reading=Reading(model="demo")))
    rng = np.random.default_rng(FIRST_SEED)
    found = right = positives = 0
    for seed in range(FIRST_SEED, FIRST_SEED + IMAGES):
        findings = random_findings(rng)
        truth = {one.observation for one in findings}
        path = phantom(tmp_path, seed, findings)
        first, second = (drafted(reader, path).draft for reader in (built_in, demo_reader))
        assert second.findings_text == first.findings_text
        assert second.impression_text == first.impression_text
        for one, other in zip(first.findings, second.findings, strict=True):
            assert (one.presence, one.side) == (other.presence, other.side)
            assert (one.score is None) == (other.score is None)
            assert other.score is None or other.score == pytest.approx(one.score, abs=1e-3)
        present = {
            one.observation
            for one in second.findings
            if one.presence is Presence.PRESENT and one.observation in CODED_OBSERVATIONS
        }
        found, right, positives = (
            found + len(present), right + len(present & truth), positives + len(truth)
        )  # fmt: skip
    assert 2 * right / (found + positives) > 0.9


def test_the_demo_model_as_a_llava_gets_the_same_prompt(demo_folder, demo_reader):
    """The ids of the prompt equal those of the built-in model, its image counted once."""
    frame = np.random.default_rng(1).random((300, 280), dtype=np.float32)
    built_in = registry.load("demo", demo_folder)
    prompt = demo_reader._model.loaded.maker
    answer = demo_reader._model.answer(frame, Task.REPORT)
    expected = built_in.answer(frame, Task.REPORT)
    assert prompt.tokenizer.unk_token_id == 0
    assert answer.token_ids == expected.token_ids
    assert answer.text == expected.text


def test_as_llava_states_where_it_wrote_and_what_comes_next(tmp_path, capsys):
    """The next command of docs/models.md; without a folder its usage."""
    as_llava.main([str(tmp_path / "own")])
    assert f"wetread pin-model {tmp_path / 'own'}" in capsys.readouterr().out
    assert (tmp_path / "own" / "config.json").is_file()
    with pytest.raises(SystemExit, match="usage: "):
        as_llava.main([])


def test_the_self_test_of_a_model_reads_a_phantom(demo_reader):
    """`wetread check` finds the pneumothorax through the profile too."""
    found = read_phantoms(demo_reader)
    assert "with the pneumothorax that it shows" in found.sentence
    assert found.warnings == ()


def test_the_demo_model_as_a_llava_reads_no_patient(demo_reader, tmp_path):
    """Its profile states that it was trained on phantoms only."""
    image = as_dataset(draw(3, rows=300, columns=300))
    image.Manufacturer = "Real Detectors"
    result = drafted(demo_reader, write(image, tmp_path / "image.dcm"))
    assert result.code == "NO_MODEL_FOR_PATIENTS"
    assert (
        "synthetic images only (phantoms_only = true in [card] of its profile)" in result.sentence
    )


def test_the_demo_model_is_refused_with_a_profile_for_patients(demo_folder, tmp_path):
    """The checkpoint itself states that it was trained on phantoms only, for any profile."""
    profile = tmp_path / "profile.toml"
    text = (demo_folder / "profile.toml").read_text(encoding="utf-8")
    profile.write_text(text.replace("phantoms_only = true\n", ""), encoding="utf-8")
    with pytest.raises(PermanentReadingError, match="phantoms_only = true"):
        Reader.from_settings(own(demo_folder, profile, tmp_path))


def test_other_files_than_the_pinned_are_not_read(demo_folder, tmp_path):
    """`model_sha256` holds for this kind too."""
    settings = own(demo_folder, "generic", tmp_path, model_sha256="0" * 64)
    with pytest.raises(PermanentReadingError, match="not the one that was pinned"):
        Reader.from_settings(settings)
    assert snapshot.list_digest(demo_folder) == ""


def test_a_fault_of_the_profile_is_reported_by_the_reader(checkpoint, own_profile, tmp_path):
    """The file and the key reach the person who starts the service."""
    settings = own(checkpoint("gemma3"), own_profile("licenze = 1\n"), tmp_path)
    with pytest.raises(PermanentReadingError, match=r"profile\.toml: line \d+: card\.licenze"):
        Reader.from_settings(settings)


def test_what_the_settings_state_of_decoding_wins_over_the_profile(demo_folder, tmp_path):
    """A key that the site sets applies; others come from the profile."""
    profile = load_profile(demo_folder / "profile.toml")
    reader = Reader.from_settings(own(demo_folder, demo_folder / "profile.toml", tmp_path))
    assert reader.decoding.max_new_tokens == profile.decoding.max_new_tokens
    reader._model.close()
    given = own(demo_folder, demo_folder / "profile.toml", tmp_path, max_new_tokens=7)
    assert Reader.from_settings(given).decoding.max_new_tokens == 7


def test_a_right_pneumothorax_is_read_on_its_side(demo_reader, tmp_path):
    """Image orientation is kept on the profile's path."""
    shown = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.RIGHT, extent=0.6)
    result = drafted(demo_reader, phantom(tmp_path, 5, (shown,)))
    one = next(f for f in result.draft.findings if f.observation is Observation.PNEUMOTHORAX)
    assert (one.presence, one.side) == (Presence.PRESENT, Side.RIGHT)


def without(text, *abilities):
    """Return the generic profile without these abilities."""
    named = ", ".join(f'"{one}"' for one in ("regions", *abilities))
    text = text.replace('cannot = ["regions"]', f"cannot = [{named}]")
    if "scores" in abilities:
        text = text[: text.index("[scores]")]
    if "children" in abilities:
        start, end = text.index("paediatric ="), text.index("differential =")
        text = text[:start] + text[end:]
    return text


def test_a_model_without_scores_is_asked_for_none_and_reports_it(demo_folder, tmp_path):
    """Even if the site requests scores: no question, no score, a note, and the same in the SR."""
    text = (demo_folder / "profile.toml").read_text(encoding="utf-8")
    profile = tmp_path / "profile.toml"
    profile.write_text(without(text, "scores"), encoding="utf-8")
    reader = Reader.from_settings(own(demo_folder, profile, tmp_path, scores="on"))
    result = drafted(reader, phantom(tmp_path))
    assert {one.score for one in result.draft.findings} == {None}
    assert any("gives no scores and shows no regions" in one for one in result.draft.notes)
    coded = [str(one.value) for one in result.outputs[1].dataset.iterall() if one.VR == "LT"]
    texts = [
        str(one.value) for one in result.outputs[1].dataset.iterall() if one.VR in {"UT", "LT"}
    ]
    assert any("The model gives no scores." in each for each in (*coded, *texts))
    assert not any("not calibrated" in each for each in texts)


def test_a_model_without_a_prompt_for_children_reads_none(demo_folder, tmp_path):
    """`read_children` does not help: the study is not analyzed, with the reason for children."""
    text = (demo_folder / "profile.toml").read_text(encoding="utf-8")
    profile = tmp_path / "profile.toml"
    profile.write_text(without(text, "children"), encoding="utf-8")
    child = as_dataset(draw(3, rows=300, columns=300), patient=Demographics.made_up(3, age=7))
    path = write(child, tmp_path / "child.dcm")
    unable = Reader.from_settings(own(demo_folder, profile, tmp_path, read_children=True))
    assert drafted(unable, path).code == "CHILD"
    able = own(demo_folder, demo_folder / "profile.toml", tmp_path, read_children=True)
    assert "of a child" in drafted(Reader.from_settings(able), path).draft.model.prompt


def test_the_trial_shows_what_is_sent_and_what_becomes_of_the_answer(demo_reader, tmp_path):
    """Image, prompt, answer, sections, findings, time, memory, and what is missing, a line each."""
    lines = dict(line.split(": ", 1) for line in trial(demo_reader, tmp_path / "check" / "own.png"))
    assert lines["image as sent"].startswith("160 x 160 L, written to ")
    assert Image.open(tmp_path / "check" / "own.png").size == (160, 160)
    assert "Write a radiologic report" in lines["prompt"]
    assert lines["answer" + MARK].startswith("Findings: ")
    assert "pneumothorax" in lines["section findings" + MARK]
    assert lines["section impression" + MARK]
    assert re.search(
        r"pneumothorax right: present \((0\.[5-9]\d|1\.00)\)", lines["findings" + MARK]
    )
    assert re.search(r"^\d+\.\d s, \d+ tokens, .*decode \d+ ms", lines["time"])
    assert lines["memory"].endswith(" GB")
    assert lines["not available with this model"] == "regions"


def test_the_trial_shows_an_answer_that_the_gate_refuses(checkpoint, own_profile, tmp_path):
    """The effect of a wrong profile is shown, although no draft is made of it."""
    settings = own(checkpoint("llava_next"), own_profile(), tmp_path, max_new_tokens=30)
    reader = Reader.from_settings(settings)
    lines = dict(line.split(": ", 1) for line in trial(reader, tmp_path / "own.png"))
    assert len(lines["answer" + MARK].split()) > 3
    with pytest.raises(TextNotLanguage):
        read_phantoms(reader)


def test_check_prints_the_trial_and_ends_with_what_was_found(demo_folder, tmp_path, monkeypatch):
    """`wetread check` shows each line of the trial as it goes; the outcome stays one sentence."""
    settings = own(demo_folder, demo_folder / "profile.toml", tmp_path / "data")
    for name, value in as_environment(settings.model_dump(mode="json", exclude_unset=True)).items():
        monkeypatch.setenv(name, value)
    steps = []
    (check,) = model_checks(load_settings(), steps.append, 200.0)
    found = check.probe()
    assert any(step.startswith("model own: prompt: ") for step in steps)
    assert any(step.startswith(f"model own: findings{MARK}: ") for step in steps)
    assert "with the pneumothorax that it shows" in found.detail
    assert "prompt:" not in found.detail


def test_the_model_card_states_licence_use_and_prompt(demo_reader):
    """One page of Markdown with the facts for a site."""
    card = model_card(demo_reader.profile, demo_reader.checkpoint)
    assert card.startswith("# demo model as LLaVA\n")
    assert "- **License**: as Wetread" in card
    assert "- **Not available**: regions" in card
    assert "- **Profile tried with real weights**: yes" in card
    assert "> user: <image>" in card
    assert demo_reader.checkpoint.weights_sha256 in card


@pytest.mark.parametrize(
    "image", [{"mode": "RGB"}, {"width": None, "height": None}, {"width": 128, "height": 128}]
)
def test_an_image_that_the_model_refuses_is_named_with_the_keys(demo_folder, image):
    """A wrong mode fails in the processor, a wrong size in the network."""
    profile = load_profile(demo_folder / "profile.toml")
    changed = profile.model_copy(update={"image": profile.image.model_copy(update=image)})
    with pytest.raises(
        CheckpointError,
        match=r"the model refuses the image that the profile sends \(image\.mode = .*In the profile set "
        r'image\.mode = "L", image\.width = 160, image\.height = 160, as config\.json has them',
    ):
        load(demo_folder, changed)
