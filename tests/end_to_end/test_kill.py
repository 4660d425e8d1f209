"""`kill -9` of each part in the middle of fifty studies: every acknowledged one arrives, once."""

import functools
import random
import threading
import time

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.slow, pytest.mark.timeout(600)]

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
STUDIES = 50
SEED = 20261122


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Fifty small studies of one image each: file by Study Instance UID."""
    folder = tmp_path_factory.mktemp("fifty")
    made = {}
    for seed in range(1000, 1000 + STUDIES):
        dataset = as_dataset(draw(seed, rows=256, columns=256))
        write(dataset, folder / f"{seed}.dcm")
        made[str(dataset.StudyInstanceUID)] = folder / f"{seed}.dcm"
    return made


class _Modality(threading.Thread):
    """Sends each study until it is acknowledged, as a modality does that must not lose an image."""

    def __init__(self, site, images):
        super().__init__()
        self.site, self.images = site, images
        self.acknowledged = set()
        self.refused = 0

    def run(self):
        for study, path in self.images.items():
            deadline = time.monotonic() + 120
            while not self.site.store_scu(path).acknowledged:
                self.refused += 1
                assert time.monotonic() < deadline, f"{study} was never acknowledged"
                time.sleep(0.3)
            self.acknowledged.add(study)


def _kill_parts(modality, parts, kill):
    """Kill each part in turn while the modality sends, at moments drawn from the seed."""
    moments = random.Random(SEED)
    for number, part in enumerate(parts, start=1):
        mark = STUDIES * number // (len(parts) + 1)
        while len(modality.acknowledged) < mark and modality.is_alive():
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        kill(part)


def _everything_arrived(site, images, in_pacs):
    for study in images:
        site.completed(study)
        classes = [str(found.SOPClassUID) for found in in_pacs(study).values()]
        assert classes.count(BASIC_TEXT_SR) == 1, study
    assert {job.state for job in site.jobs()} == {JobState.COMPLETED}
    assert len(site.jobs()) == STUDIES


def test_every_acknowledged_study_arrives_once_on_sqlite(
    site_class, orthanc, images, in_pacs, tmp_path, free_port
):
    """Receiver, workers, sweeper, Redis and web are killed in turn; fifty drafts arrive, no more."""
    overrides = {
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
        "reading": {"lease_seconds": 5},
        "delivery": {"lease_seconds": 5, "retry_seconds": 0.5},
        "sweep": {"republish_seconds": 3},
    }
    site = site_class(tmp_path, free_port(), overrides)
    modality = _Modality(site, images)
    try:
        site.start()
        modality.start()
        parts = ["worker-reading", "receive", "redis", "worker-delivery", "sweep", "web", "receive"]
        _kill_parts(modality, parts, site.kill)
        modality.join()
        assert modality.acknowledged == set(images)
        _everything_arrived(site, images, in_pacs)
    finally:
        modality.join()
        site.stop()


@pytest.mark.postgres
def test_every_acknowledged_study_arrives_once_on_postgresql(
    site_class,
    orthanc_server_class,
    postgres_server_class,
    postgres_folder,
    images,
    in_orthanc,
    tmp_path,
    free_port,
):
    """The database and the PACS are killed, too: no acknowledged image is lost."""
    (tmp_path / "orthanc").mkdir()
    pacs = orthanc_server_class(tmp_path / "orthanc")
    database = postgres_server_class(postgres_folder)
    pacs.start()
    database.start()
    overrides = {
        "database": {"url": database.new_database()},
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": pacs.url}],
        "reading": {"lease_seconds": 5},
        "delivery": {"lease_seconds": 5, "retry_seconds": 0.5, "retry_max_seconds": 2},
        "sweep": {"republish_seconds": 3},
    }
    site = site_class(tmp_path, free_port(), overrides)
    modality = _Modality(site, images)

    def kill(part):
        server = {"database": database, "pacs": pacs}.get(part)
        if server is None:
            site.kill(part)
            return
        server.kill()
        time.sleep(1)
        server.start()

    try:
        site.start()
        modality.start()
        _kill_parts(modality, ["database", "worker-reading", "pacs", "redis", "database"], kill)
        modality.join()
        assert modality.acknowledged == set(images)
        _everything_arrived(site, images, functools.partial(in_orthanc, pacs))
    finally:
        modality.join()
        site.stop()
        database.stop()
        pacs.stop()
