"""The shipped demo model: reads phantoms, and refuses any other image."""

from datetime import UTC, datetime

import numpy as np
import pytest
import torch

from dicom.content.report import CODED_OBSERVATIONS, Observation, Presence, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, random_findings, write
from dicom.selection.local_files import describe
from dicom.study import Study
from service.settings.config import Settings
from service.settings.keys.reading import Model, Reading
from workers.equipment import this_equipment
from workers.model.checkpoints import registry, shipped, tiny
from workers.model.prompts import IS_NORMAL, IS_THERE, Task
from workers.reading.outcomes import Drafted, NotAnalysed
from workers.reading.reader import Reader

LARGEST = 20 * 10**6
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SEEN = (PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.LEFT, extent=0.7),)
FIRST_SEED = 700_000_000
IMAGES = 30


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The shipped model by its name; the folder does not matter."""
    return registry.load("demo", tmp_path_factory.mktemp("unused"))


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The service's reader with the demo model."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), reading=Reading(model="demo"))
    return Reader.from_settings(settings)


@pytest.fixture
def insisting(reader, tmp_path):
    """A reader with the demo model at a site that lets it read patients' images."""
    reading = Reading(model="demo", demo_reads_patients=True)
    settings = Settings(data_dir=tmp_path / "data", reading=reading)
    return Reader(reader._model, settings, this_equipment(settings))


def drafted(reader, path):
    """Return what a reader makes of one image."""
    instance = describe(path)
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    return reader.read(study, revision=1, predecessor=None, produced_at=NOW)


def test_its_files_are_small_and_complete():
    """At most 20 MB, in the published layout, with a model card."""
    files = {path.name: path.stat().st_size for path in shipped.FOLDER.iterdir()}
    assert sum(files.values()) <= LARGEST
    assert files.keys() >= {
        "config.json", "generation_config.json", "model.safetensors.index.json",
        "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "MODEL_CARD.md",
    }  # fmt: skip
    card = (shipped.FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "phantoms, not patients" in card


def test_it_reads_unseen_phantoms(reader, tmp_path):
    """On unseen images most findings are found, few are invented, sides are right."""
    rng = np.random.default_rng(FIRST_SEED)
    right = wrong = sided = on_side = 0
    for seed in range(FIRST_SEED, FIRST_SEED + IMAGES):
        findings = random_findings(rng)
        image = as_dataset(draw(seed, rows=300, columns=300, findings=findings))
        found = {
            one.observation: one
            for one in drafted(reader, write(image, tmp_path / f"{seed}.dcm")).draft.findings
        }
        truth = {finding.observation: finding for finding in findings}
        for name in CODED_OBSERVATIONS:
            agrees = (found[name].presence is Presence.PRESENT) == (name in truth)
            right, wrong = right + agrees, wrong + (not agrees)
            if agrees and name in truth and found[name].side:
                sided += 1
                on_side += found[name].side is truth[name].side
    assert right / (right + wrong) > 0.93
    assert on_side / max(sided, 1) > 0.9


def test_questions_are_answered_yes_or_no(model):
    """It answers yes for a large effusion, no for a pneumothorax, and that the image is not normal."""
    phantom = draw(FIRST_SEED, rows=300, columns=300, findings=SEEN)
    frame = (phantom.pixels / (2**phantom.bits_stored - 1)).astype("float32")

    def asked(question):
        return model.answer(frame, Task.QUESTION, question=question).text

    assert asked(IS_THERE["pleural effusion"]).startswith("Yes")
    assert asked(IS_THERE["pneumothorax"]).startswith("No")
    assert asked(IS_NORMAL).startswith("No")


def test_on_a_phantom_the_caveat_is_mild(reader, tmp_path):
    """It was made for synthetic images; it still states that it was trained on nothing else."""
    path = write(as_dataset(draw(5, rows=300, columns=300)), tmp_path / "phantom.dcm")
    result = drafted(reader, path)
    assert "synthetic images only" in result.draft.model.caveat
    assert not result.draft.model.mark


def patients_image(folder, **attributes):
    """An image as of a patient: a phantom's picture without one of the marks of a phantom."""
    image = as_dataset(draw(5, rows=300, columns=300, findings=SEEN))
    for keyword, value in ({"Manufacturer": "Another maker"} | attributes).items():
        setattr(image, keyword, value)
    return write(image, folder / "image.dcm")


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"Manufacturer": "Wetread phantom", "QualityControlSubject": "NO"},
        {"Manufacturer": "Wetread phantom", "QualityControlSubject": None},
        {"Manufacturer": "Wetread phantom 2"},
    ],
    ids=["another maker", "no quality control", "not stated", "a maker of nearly that name"],
)
def test_a_patients_image_is_not_read(reader, tmp_path, attributes):
    """Without both marks of a phantom the study ends with a reason of its own, and no draft."""
    result = drafted(reader, patients_image(tmp_path, **attributes))
    assert isinstance(result, NotAnalysed)
    assert result.code == "NO_MODEL_FOR_PATIENTS"
    assert "no model for patients is configured" in result.sentence


def test_random_weights_read_no_patient(tmp_path):
    """A checkpoint that calls itself meaningless reads phantoms, for any configuration."""
    tiny.ensure_tiny(tmp_path / "model")
    reading = Reading(model="cxr-llava-v2", model_dir=tmp_path / "model")
    reader = Reader.from_settings(Settings(data_dir=tmp_path / "data", reading=reading))
    phantom = write(as_dataset(draw(5, rows=300, columns=300)), tmp_path / "phantom.dcm")
    assert isinstance(drafted(reader, phantom), Drafted)
    assert drafted(reader, patients_image(tmp_path)).code == "NO_MODEL_FOR_PATIENTS"


def test_a_patients_image_that_the_site_insists_on_reports_it(insisting, tmp_path):
    """First sentence, series descriptions, pictures: trained on phantoms, allowed by the site."""
    result = drafted(insisting, patients_image(tmp_path))
    assert "trained on synthetic images only" in result.draft.model.caveat
    assert "reading.demo_reads_patients" in result.draft.model.caveat
    report = next(output for output in result.outputs if output.kind == "draft-report")
    texts = [str(e.value) for e in report.dataset.iterall() if e.VR == "UT"]
    (warning,) = (text for text in texts if text.startswith("UNVERIFIED AI DRAFT"))
    assert "trained on synthetic images only" in warning
    assert "reading.demo_reads_patients" in warning
    for output in result.outputs:
        assert output.dataset.SeriesDescription.endswith("SYNTHETIC DATA ONLY")


def test_the_setting_is_that_of_one_model(reader, tmp_path):
    """A further model that reads patients' images does not let that of [reading] do it."""
    trial = Model(name="trial", model="demo", demo_reads_patients=True)
    settings = Settings(data_dir=tmp_path / "data", models=(trial,))
    image = patients_image(tmp_path)
    for name, kind in (("demo", NotAnalysed), ("trial", Drafted)):
        own = settings.for_model(name)
        assert isinstance(drafted(Reader(reader._model, own, this_equipment(own)), image), kind)


def test_a_phantom_needs_no_insistence(insisting, tmp_path):
    """On a synthetic image the caveat is as mild with the setting as without."""
    path = write(as_dataset(draw(5, rows=300, columns=300)), tmp_path / "phantom.dcm")
    assert "demo_reads_patients" not in drafted(insisting, path).draft.model.caveat


def sentences(output):
    """The texts of a document."""
    return [str(element.value) for element in output.dataset.iterall() if element.VR == "UT"]


def test_what_it_states_of_a_patient_is_never_coded(reader, insisting, tmp_path):
    """No presence, no score; the findings document has the reason, and the draft still has its text."""
    image = as_dataset(draw(5, rows=300, columns=300, findings=SEEN))
    on_phantom = drafted(reader, write(image, tmp_path / "phantom.dcm"))
    on_patient = drafted(insisting, patients_image(tmp_path))
    assert on_patient.draft.findings_text == on_phantom.draft.findings_text
    assert any(one.presence is Presence.PRESENT for one in on_phantom.draft.findings)
    assert {one.presence for one in on_patient.draft.findings} == {Presence.NOT_CODED}
    assert all(one.score is None for one in on_patient.draft.findings)
    coded, uncoded = (
        next(output for output in result.outputs if output.kind == "findings")
        for result in (on_phantom, on_patient)
    )
    assert not any("No finding is coded" in text for text in sentences(coded))
    (why,) = (text for text in sentences(uncoded) if "No finding is coded" in text)
    assert "trained on synthetic images only" in why


def test_the_same_image_gives_the_same_text(model):
    """Greedy decoding repeats itself to the token."""
    frame = torch.rand(200, 200, generator=torch.Generator().manual_seed(1)).numpy()
    assert model.answer(frame, Task.REPORT).token_ids == model.answer(frame, Task.REPORT).token_ids
