"""Results go to four kinds of destination at once; an unavailable or silent one delays no other."""

import shutil
import socket
import subprocess
import threading
import time

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import DeliveryState, JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(180)]

CONFIRMED, PENDING = DeliveryState.CONFIRMED, DeliveryState.PENDING


@pytest.fixture
def images(tmp_path):
    """A function: seeds -> files by Study Instance UID, a small synthetic image each."""

    def draw_all(*seeds):
        made = {}
        for seed in seeds:
            dataset = as_dataset(draw(seed, rows=256, columns=256))
            made[str(dataset.StudyInstanceUID)] = write(dataset, tmp_path / f"{seed}.dcm")
        return made

    return draw_all


@pytest.fixture
def storescp(tmp_path, free_port):
    """A function that starts DCMTK's storescp with options; returns its port and its folder."""
    if shutil.which("storescp") is None:
        pytest.skip("storescp (dcmtk) is not installed")
    started = []

    def start(*options):
        folder = tmp_path / f"storescp-{len(started)}"
        folder.mkdir()
        port = free_port()
        command = ["storescp", "-od", str(folder), "-aet", "ARCHIVE", *options, str(port)]
        started.append(subprocess.Popen(command, cwd=folder))
        return port, folder

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


@pytest.fixture
def silent_pacs():
    """The port of a PACS that accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        held = []

        def accept():
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for connection in held:
            connection.close()


@pytest.fixture
def run_site(site_class, tmp_path, free_port):
    """A function: destinations -> a running site with short retry delays; stopped at the end."""
    running = []

    def start(*destinations):
        (tmp_path / "site").mkdir()
        overrides = {
            "destinations": list(destinations),
            "delivery": {"retry_seconds": 0.5, "retry_max_seconds": 1},
        }
        running.append(site_class(tmp_path / "site", free_port(), overrides))
        return running[-1].start()

    yield start
    for site in running:
        site.stop()


def _states(site, study):
    """Return the states of the study's deliveries, by destination."""
    return {each.destination: each.state for each in site.store.deliveries(site.jobs(study)[0].id)}


def _send_all(site, images):
    for path in images.values():
        assert site.store_scu(path).acknowledged


def test_four_kinds_at_once_and_one_away(
    run_site, orthanc_server_class, storescp, in_orthanc, images, tmp_path
):
    """The job shows which destination is missing; the others are confirmed; it completes by itself."""
    servers = {}
    for name in ("rest", "stow"):
        (tmp_path / name).mkdir()
        servers[name] = orthanc_server_class(tmp_path / name)
        servers[name].start()
    port, stored = storescp()
    # storescp has no C-FIND, so its C-STORE responses are the only confirmation.
    archive = {"host": "127.0.0.1", "port": port, "ae_title": "ARCHIVE", "verify": False}
    try:
        site = run_site(
            {"kind": "orthanc", "name": "rest", "url": servers["rest"].url},
            {"kind": "stow", "name": "stow", "url": servers["stow"].dicomweb_url},
            {"kind": "folder", "name": "folder", "path": str(tmp_path / "out")},
            {"kind": "dimse", "name": "archive", **archive},
            {
                "kind": "dimse",
                "name": "dimse",
                "host": "127.0.0.1",
                "port": servers["rest"].dicom_port,
                "ae_title": servers["rest"].ae_title,
            },
        )
        servers["stow"].kill()
        sent = images(201, 202, 203)
        _send_all(site, sent)
        there = dict.fromkeys(("rest", "folder", "archive", "dimse"), CONFIRMED)
        for study in sent:
            site.until(
                lambda study=study: (
                    site.jobs(study) and there.items() <= _states(site, study).items()
                ),
                seconds=60,
                what="confirmation by those that are there",
            )
            (job,) = site.jobs(study)
            assert job.state is JobState.DRAFTED
            away = next(e for e in site.store.deliveries(job.id) if e.destination == "stow")
            assert away.state is not CONFIRMED
            assert "stow" in away.last_error
        servers["stow"].start()
        for study in sent:
            job = site.completed(study)
            assert set(_states(site, study).values()) == {CONFIRMED}
            results = {item.sop_instance_uid for item in site.store.objects(job.id)}
            for server in servers.values():
                assert set(in_orthanc(server, study)) == results
            assert len(list((tmp_path / "out" / study).iterdir())) == len(results)
            kept = {path.name.partition(".")[2] for path in stored.iterdir()}
            assert results <= kept
    finally:
        for server in servers.values():
            server.stop()


@pytest.mark.serial
def test_a_pacs_that_never_answers_delays_no_other(run_site, silent_pacs, images, tmp_path):
    """Two accept and never answer: readings go on and the folder has all drafts meanwhile."""
    silent = {
        "kind": "dimse",
        "host": "127.0.0.1",
        "port": silent_pacs,
        "ae_title": "SILENT",
        "timeout": 30,
        # As many as the delivery worker handles at once.
        "max_in_flight": 8,
    }
    site = run_site(
        silent | {"name": "silent"},
        silent | {"name": "silent-too"},
        {"kind": "folder", "name": "folder", "path": str(tmp_path / "out")},
    )
    begun = time.monotonic()
    # More studies than the delivery worker has threads.
    sent = images(*range(210, 222))
    _send_all(site, sent)
    for study in sent:
        site.until(
            lambda study=study: (
                site.jobs(study) and _states(site, study).get("folder") is CONFIRMED
            ),
            seconds=60,
            what="the draft in the folder",
        )
        assert _states(site, study)["silent"] is not CONFIRMED
        assert site.jobs(study)[0].state is JobState.DRAFTED
    assert time.monotonic() - begun < 30, "a delivery waited for the silent PACS"


def test_a_destination_that_refuses_fails_the_job_and_reports_it(
    run_site, storescp, images, tmp_path
):
    """A PACS that rejects our association for good: FAILED with its name; the folder has the draft."""
    port, _ = storescp("--refuse")
    site = run_site(
        {
            "kind": "dimse",
            "name": "archive",
            "host": "127.0.0.1",
            "port": port,
            "ae_title": "ARCHIVE",
        },
        {"kind": "folder", "name": "folder", "path": str(tmp_path / "out")},
    )
    (study,) = sent = images(230)
    _send_all(site, sent)
    job = site.settled(study)
    assert job.state is JobState.FAILED
    assert job.reason_code == "NOT_DELIVERED"
    assert "archive" in job.reason
    assert _states(site, study)["folder"] is CONFIRMED
