"""Images that a modality stored in Orthanc get exactly one job each, despite any outage."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "integration.md"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"


def _example(language: str) -> str:
    """Return the page's only example in this language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return text


@pytest.fixture
def images(tmp_path):
    """A function: seeds -> files by Study Instance UID, a small synthetic image each."""

    def draw_all(*seeds):
        made = {}
        for seed in seeds:
            dataset = as_dataset(draw(seed, rows=128, columns=128))
            made[str(dataset.StudyInstanceUID)] = write(dataset, tmp_path / f"{seed}.dcm")
        return made

    return draw_all


@pytest.fixture
def router(orthanc_server_class, tmp_path, free_port):
    """An Orthanc with the page's settings and script, and the port at which it expects Wetread."""
    port = free_port()
    folder = tmp_path / "orthanc"
    folder.mkdir()
    script = folder / "to-wetread.lua"
    script.write_text(_example("lua"))

    class Router(orthanc_server_class):
        def configuration(self):
            page = json.loads(_example("json"))
            here = {"wetread": [page["DicomModalities"]["wetread"][0], "127.0.0.1", port]}
            places = {"DicomModalities": here, "LuaScripts": [str(script)]}
            gets = {"DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}
            return {**super().configuration(), **page, **places, **gets}

    with Router(folder) as server:
        yield server, port


def _overrides(server, port, **reconcile):
    return {
        "receiver": {
            "host": "127.0.0.1",
            "port": port,
            "callers": [{"ae_title": server.ae_title}, {"ae_title": "MODALITY"}],
            "min_free_bytes": 0,
        },
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": server.url}],
        "delivery": {"retry_seconds": 0.5, "retry_max_seconds": 2},
        "reconcile": [
            {"destination": "pacs", "calling_ae": server.ae_title, "fetch": True}
            | {"every_seconds": 1, "after_seconds": 3}
            | reconcile
        ],
    }


def _send(server, paths):
    """Store images in Orthanc as a modality does, again until Orthanc has them."""
    for path in paths:
        command = ["storescu", "-R", "-aet", "CR", "-aec", server.ae_title, "127.0.0.1"]
        while subprocess.run(
            [*command, str(server.dicom_port), str(path)], capture_output=True
        ).returncode:
            time.sleep(0.3)


def _kill_all(site):
    """Kill `wetread up`; the kernel kills its child processes."""
    os.kill(site.process.pid, signal.SIGKILL)
    site.process.wait(20)
    site.process = None
    if site._store is not None:
        site._store.close()
        site._store = None


def test_every_image_of_orthanc_ends_with_one_job(router, site_class, images, tmp_path):
    """Wetread is stopped, then killed, and Orthanc is killed, while images arrive: one job a study.

    None is lost, none is read twice, and no result of ours counts as a missing image.
    """
    server, port = router
    (tmp_path / "site").mkdir()
    wanted = images(*range(1, 25))
    paths = list(wanted.values())
    site = site_class(tmp_path / "site", port, _overrides(server, port))
    try:
        site.start()
        _send(server, paths[:4])
        site.stop()
        _send(server, paths[4:12])  # no receiver accepts them
        site.start()
        sending = threading.Thread(target=_send, args=(server, paths[12:]))
        sending.start()
        time.sleep(1)
        _kill_all(site)
        server.kill()
        time.sleep(2)
        server.start()
        site.start()
        sending.join(120)
        assert not sending.is_alive()

        def done():
            jobs = site.jobs()
            return {job.study_instance_uid for job in jobs} == set(wanted) and all(
                job.state is JobState.COMPLETED for job in jobs
            )

        site.until(done, seconds=150, what="a job for each study")
        assert len(site.jobs()) == len(wanted)
        time.sleep(5)  # the results are in Orthanc now: another comparison must find nothing
        assert len(site.jobs()) == len(wanted)
        looked = site.command("reconcile", "--json")
        assert looked.returncode == 0, looked.stdout + looked.stderr
        found = json.loads(looked.stdout)["pacs"]
        assert (found["studies"], found["missing"], found["fetched"]) == (len(wanted), [], [])
        incidents = [each for each in site.store.incidents(1000) if each.kind == "conflict"]
        assert incidents == []
    finally:
        site.stop()


def test_the_command_lists_and_fetches_by_c_move(router, site_class, images, tmp_path):
    """Images from before Orthanc was configured are listed, then fetched by C-MOVE."""
    server, port = router
    (tmp_path / "site").mkdir()
    wanted = images(31, 32)
    server.stop()
    (server.folder / "to-wetread.lua").write_text("")  # it forwards nothing
    server.start()
    _send(server, wanted.values())
    address = {"host": "127.0.0.1", "port": server.dicom_port, "ae_title": server.ae_title}
    overrides = _overrides(
        server, port, archive={"name": "old", "kind": "dimse", **address}, retrieval="move"
    )
    del overrides["reconcile"][0]["destination"]
    overrides["reconcile"][0] |= {"fetch": False, "hours": 24 * 365 * 9}
    site = site_class(tmp_path / "site", port, overrides)
    try:
        site.start()
        listed = site.command("reconcile", "old")
        assert listed.returncode == 1
        assert "2 studies compared, 2 missing or incomplete here" in listed.stdout, listed.stdout
        fetched = site.command("reconcile", "--fetch", "--json")
        assert fetched.returncode == 0, fetched.stdout + fetched.stderr
        for study in wanted:
            site.until(lambda study=study: site.jobs(study), seconds=60, what="its job")
            (image,) = site.store.instances(study)
            assert image.calling_ae == server.ae_title
    finally:
        site.stop()


def test_our_results_are_not_missing_even_where_all_classes_are_compared(
    router, site_class, images, tmp_path
):
    """With SR and SC accepted and compared, our own objects do not count as missing."""
    server, port = router
    (tmp_path / "site").mkdir()
    (study,) = wanted = images(41)
    overrides = _overrides(server, port, modalities=["CR", "DX", "OT", "SR"], fetch=False)
    overrides["receiver"]["storage_classes"] = [SECONDARY_CAPTURE, BASIC_TEXT_SR, COMPREHENSIVE_SR]
    site = site_class(tmp_path / "site", port, overrides)
    try:
        site.start()
        _send(server, wanted.values())
        site.completed(study)
        looked = site.command("reconcile", "--json")
        assert looked.returncode == 0, looked.stdout + looked.stderr
        assert len(site.store.instances(study)) == 1
        assert str(dcmread(wanted[study]).StudyInstanceUID) == study
    finally:
        site.stop()
