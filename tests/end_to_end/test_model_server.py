"""A site whose model is behind a server: images become SRs, also after an outage of the server."""

import json
import threading

import pytest
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write
from dicom.validation.result_object import faults
from service.jobs import JobState
from workers.training import as_llava

pytestmark = [pytest.mark.dcmtk, pytest.mark.timeout(240)]

REPORT = (
    "Findings: The heart is enlarged. There is a small right pleural effusion.\n"
    "Impression: Cardiomegaly with a right pleural effusion."
)


@pytest.fixture
def served_site(site_class, scripted_server, free_port, tmp_path):
    """A running site, its model server, an event that stops the server, and the PACS's folder."""
    away = threading.Event()

    def script(_n, _body):
        return server.json({}, 503) if away.is_set() else server.events([REPORT], model="chest")

    server = scripted_server(script)
    overrides = {
        "reading": {
            "kind": "openai", "model": "chest", "profile": "generic", "server_url": server.url,
            "server_model": "chest", "demo_reads_patients": False,
        },
        "destinations": [{"kind": "folder", "name": "pacs", "path": str(tmp_path / "pacs")}],
    }  # fmt: skip
    (tmp_path / "site").mkdir()
    site = site_class(tmp_path / "site", free_port(), overrides)
    try:
        yield site.start(), server, away, tmp_path / "pacs"
    finally:
        site.stop()


def test_images_are_read_by_the_server(served_site, tmp_path):
    """One at once; one waits without losing an attempt until the server answers again."""
    site, server, away, pacs = served_site
    images = {}
    for seed in (71, 72):
        dataset = as_dataset(draw(seed, rows=256, columns=256))
        images[str(dataset.StudyInstanceUID)] = write(dataset, tmp_path / f"{seed}.dcm")
    first, second = images
    assert site.store_scu(images[first]).acknowledged
    assert site.completed(first).draft.model.version == "1"
    away.set()
    assert site.store_scu(images[second]).acknowledged
    site.until(
        lambda: [job for job in site.jobs(second) if job.reason_code == "MODEL_SERVER_AWAY"],
        seconds=60,
        what="the outage",
    )
    [waiting] = site.jobs(second)
    assert (waiting.state, waiting.attempts) == (JobState.SCHEDULED, 0)
    away.clear()
    assert site.completed(second).draft.impression_text == (
        "Cardiomegaly with a right pleural effusion.",
    )
    results = [dcmread(path) for path in pacs.rglob("*.dcm")]
    for study in images:
        own = [each for each in results if each.StudyInstanceUID == study]
        assert any(each.Modality == "SR" and "Cardiomegaly" in str(each) for each in own)
    for raw in server.requests:
        assert b"PHANTOM" not in raw
        assert json.loads(raw.partition(b"\r\n\r\n")[2])["model"] == "chest"


@pytest.mark.slow
def test_models_of_all_kinds_read_at_once_for_their_callers(
    site_class, scripted_server, free_port, tmp_path
):
    """A server, a checkpoint of the library and a built-in model: each study by its caller's model."""
    server = scripted_server(lambda _n, _body: server.events([REPORT], model="chest"))
    as_llava.write(llava := tmp_path / "llava")
    served = {
        "name": "served", "kind": "openai", "profile": "generic", "server_url": server.url,
        "server_model": "chest",
    }  # fmt: skip
    library = {
        "name": "library", "kind": "transformers", "model_dir": str(llava),
        "profile": str(llava / "profile.toml"),
    }  # fmt: skip
    port = free_port()
    callers = [
        {"ae_title": "MODALITY"},
        *({"ae_title": name.upper(), "model": name} for name in ("served", "library")),
    ]
    overrides = {
        "receiver": {"port": port, "callers": callers},
        "models": [served, library],
        "destinations": [{"kind": "folder", "name": "pacs", "path": str(tmp_path / "pacs")}],
    }
    (tmp_path / "site").mkdir()
    site = site_class(tmp_path / "site", port, overrides)
    try:
        site.start()
        sent = {}
        for seed, name in enumerate(("demo", "served", "library"), start=81):
            image = as_dataset(draw(seed, rows=256, columns=256))
            calling = "MODALITY" if name == "demo" else name.upper()
            assert site.store_scu(
                write(image, tmp_path / f"{name}.dcm"), calling=calling
            ).acknowledged
            sent[name] = str(image.StudyInstanceUID)
        for name, study in sent.items():
            job = site.completed(study)
            assert job.model_name == name
            assert ("regions" in job.draft.model.cannot) is (name != "demo")
            srs = [
                each
                for each in map(dcmread, (tmp_path / "pacs").rglob("*.dcm"))
                if (each.StudyInstanceUID, each.Modality) == (study, "SR")
            ]
            assert srs
            assert all(faults(each) == () for each in srs)
    finally:
        site.stop()
