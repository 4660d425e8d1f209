"""A site whose model is behind a server: images become SRs, also after the server was away."""

import json
import threading

import pytest
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.dcmtk, pytest.mark.timeout(240)]

REPORT = (
    "Findings: The heart is enlarged. There is a small right pleural effusion.\n"
    "Impression: Cardiomegaly with a right pleural effusion."
)


@pytest.fixture
def served_site(site_class, scripted_server, free_port, tmp_path):
    """A running site, its model server, an event that takes the server away, and the PACS's folder."""
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
