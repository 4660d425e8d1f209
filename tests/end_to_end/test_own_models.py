"""One Wetread with a model of each of four architectures of the transformers library, and the demo."""

import importlib.util
from pathlib import Path

import pytest

from dicom.content.report import Observation, Presence, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from dicom.validation.result_object import faults
from workers.model.profiles.load import SHIPPED
from workers.training import as_llava

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.slow, pytest.mark.timeout(300)]

MAKER = Path(__file__).parents[1] / "workers" / "model" / "automodel" / "conftest.py"
CAVEAT = "The weights of this model are random: its text is meaningless."


@pytest.fixture(scope="module")
def maker():
    """The module that makes checkpoints of random weights."""
    spec = importlib.util.spec_from_file_location("tiny_checkpoints", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(site_class, orthanc, maker, tmp_path, free_port):
    """A Wetread that reads by the demo model as a LLaVA, and by four random models for four callers."""
    demo = tmp_path / "demo"
    as_llava.write(demo)
    profile = tmp_path / "random.toml"
    card = f'[card]\nrandom_weights = true\ncaveat = "{CAVEAT}"\n'
    generic = (SHIPPED / "generic.toml").read_text(encoding="utf-8")
    profile.write_text(generic.replace("[card]\n", card), encoding="utf-8")
    names = [name.replace("_", "-") for name in maker.ARCHITECTURES]
    common = {"kind": "transformers", "profile": str(profile), "max_new_tokens": 16}
    models = [
        {"name": name, "model_dir": str(maker.make(one, tmp_path / name)), **common}
        for name, one in zip(names, maker.ARCHITECTURES, strict=True)
    ]
    callers = [{"ae_title": name.upper(), "model": name} for name in names]
    overrides = {
        "receiver": {
            "host": "127.0.0.1",
            "port": free_port(),
            "min_free_bytes": 0,
            "callers": [{"ae_title": "MODALITY"}, *callers],
        },
        "reading": {
            "kind": "transformers",
            "model": "own",
            "model_dir": str(demo),
            "profile": str(demo / "profile.toml"),
        },
        "models": models,
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
        "sweep": {"warn_free_bytes": 0, "early_free_bytes": 0},
    }
    (folder := tmp_path / "site").mkdir()
    running = site_class(folder, overrides["receiver"]["port"], overrides)
    try:
        yield running.start(), names
    finally:
        running.stop()


def test_each_architecture_reads_through_the_service_to_valid_objects(site, in_pacs, tmp_path):
    """C-STORE to SR in the PACS for five models at once: each study by its caller's model."""
    running, names = site
    shown = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.RIGHT, extent=0.6)
    sent = {}
    for seed, name in enumerate(["own", *names], start=501):
        image = as_dataset(draw(seed, rows=256, columns=256, findings=(shown,)))
        path = write(image, tmp_path / f"{name}.dcm")
        calling = "MODALITY" if name == "own" else name.upper()
        assert running.store_scu(path, calling=calling).acknowledged
        sent[name] = str(image.StudyInstanceUID)
    for name, study in sent.items():
        job = running.settled(study, seconds=200)
        assert (job.state.value, job.model_name) == ("COMPLETED", name), running.log()[-4000:]
        results = [each for each in in_pacs(study).values() if each.Modality == "SR"]
        assert len(results) == 2
        assert all(faults(each) == () for each in results)
        assert "regions" in job.draft.model.cannot
    found = {one.observation: one for one in running.settled(sent["own"]).draft.findings}
    assert found[Observation.PNEUMOTHORAX].presence is Presence.PRESENT
    assert found[Observation.PNEUMOTHORAX].side is Side.RIGHT
