"""The end-to-end check in a whole service with Orthanc: passes, counts nowhere, leaves nothing."""

import json
import os
import signal
import urllib.request

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState
from service.records.probes import ProbeOutcome, ProbeStage
from tests.servers import take_free_port

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory, orthanc_server_class):
    """An Orthanc for this module only, without other objects."""
    with orthanc_server_class(tmp_path_factory.mktemp("orthanc-probe")) as server:
        yield server


@pytest.fixture(scope="module")
def checked(site_class, pacs, tmp_path_factory):
    """A Wetread whose checks go to that Orthanc."""
    overrides = {
        "destinations": [
            {"kind": "orthanc", "name": "pacs", "url": pacs.url, "may_remove": True},
        ],
        "probe": {"enabled": True, "every_minutes": 600, "limit_minutes": 5},
    }
    running = site_class(tmp_path_factory.mktemp("probe"), take_free_port(), overrides)
    try:
        yield running.start()
    finally:
        running.stop()


def fetched(url):
    """Return the JSON at an address."""
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def cleaned(site, number=1):
    """Return the latest check once there are `number` and all data of it are removed."""

    def done():
        found = site.store.probes()
        return len(found) == number and found[0].cleaned_at is not None

    site.until(done, seconds=150, what="the end of the check")
    return site.store.probes()[0]


def files(folder):
    """Return the DICOM files below a folder."""
    return [each.name for each in folder.rglob("*.dcm")]


def test_a_check_passes_and_leaves_nothing(checked, pacs):
    """No count includes it while it runs, and it reached the PACS."""
    seen, held = [], []

    def watch():
        held.append(len(fetched(f"{pacs.url}/instances")))
        counts = checked.store.counts()
        seen.append(
            (sum(counts.values()), len(checked.store.jobs()), len(checked.store.arriving()))
        )
        found = checked.store.probes()
        return found and found[0].cleaned_at

    checked.until(watch, seconds=150, what="the end of the check")
    probe = cleaned(checked)
    assert (probe.outcome, probe.reason, probe.left_at) == (ProbeOutcome.PASSED, "", ())
    assert list(probe.reached) == list(ProbeStage)
    assert set(seen) == {(0, 0, 0)}
    assert fetched(f"{pacs.url}/instances") == []
    assert max(held) >= 3
    assert checked.store.jobs(study=probe.study_instance_uid) == []
    assert checked.store.instances(probe.study_instance_uid) == []
    data = checked.settings.data_dir
    assert files(data) == []
    assert checked.command("probe", "list").stdout.splitlines()[-1] == "ok"
    assert checked.command("spool", "verify").returncode == 0


def test_a_real_study_meanwhile_is_read_and_counted(checked, pacs, tmp_path):
    """Also one that names the check's AE title; kill -9 of three parts does not stop the check."""
    image = as_dataset(draw(11, rows=256, columns=256))
    path = write(image, tmp_path / "real.dcm")
    assert checked.command("probe", "now").returncode == 0

    def running(*stages):
        found = checked.store.probes()[0]
        return found.outcome is not ProbeOutcome.RUNNING or found.stage in stages

    checked.until(
        lambda: running(ProbeStage.SCHEDULE, ProbeStage.READ, ProbeStage.DELIVER),
        seconds=60,
        what="the check's job",
    )
    for part in ("sweep", "worker-reading", "worker-delivery"):
        for pid in checked.pids(part):
            os.kill(pid, signal.SIGKILL)
    assert checked.store_scu(path, calling="WETREADPROBE").acknowledged
    probe = cleaned(checked, number=2)
    assert (probe.outcome, probe.reason) == (ProbeOutcome.PASSED, "")
    real = checked.completed(str(image.StudyInstanceUID))
    assert [each.id for each in checked.store.jobs()] == [real.id]
    assert checked.store.counts()[JobState.COMPLETED] == 1
    held = {
        each["MainDicomTags"]["SOPInstanceUID"] for each in fetched(f"{pacs.url}/instances?expand")
    }
    assert held == {each.sop_instance_uid for each in checked.store.objects(real.id)}
