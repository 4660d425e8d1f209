"""A running site is copied, and continues from the copy under another path."""

import json

import pytest
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(240)]


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


def _device_uids(objects):
    return {str(each.DeviceUID) for each in objects if "DeviceUID" in each}


def test_a_restored_site_delivers_what_waited_and_reads_on(
    site_class, orthanc_server_class, in_orthanc, images, tmp_path, free_port
):
    """Copied while it runs and its PACS is unavailable, it delivers the same draft from another path.

    It reads a new image, names the same device, and disk and database agree.
    """
    server = orthanc_server_class(tmp_path / "orthanc")
    overrides = {
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": server.url}],
        "delivery": {"retry_seconds": 0.5, "retry_max_seconds": 1},
    }
    (early, image), (late, later) = images(1, 2).items()
    first = site_class(_made(tmp_path / "first"), free_port(), overrides)
    try:
        first.start()
        assert first.store_scu(image).acknowledged
        first.until(
            lambda: [job.state for job in first.jobs(early)] == [JobState.DRAFTED],
            seconds=60,
            what="the draft",
        )
        (job,) = first.jobs(early)
        made = {each.sop_instance_uid for each in first.store.objects(job.id)}
        copied = first.command("backup", str(tmp_path / "backup"))
        assert copied.returncode == 0, copied.stderr
        refused = first.command("restore", str(tmp_path / "backup"))
        assert refused.returncode == 1
        assert "a service is running" in refused.stderr
    finally:
        first.stop()
    (tmp_path / "first").rename(tmp_path / "gone")
    second = site_class(_made(tmp_path / "second"), free_port(), overrides)
    whole = second.command("restore", "--check", str(tmp_path / "backup"))
    assert whole.returncode == 0, whole.stderr
    restored = second.command("restore", str(tmp_path / "backup"))
    assert restored.returncode == 0, restored.stderr
    try:
        with server:
            second.start()
            assert second.completed(early).id == job.id
            assert second.store_scu(later).acknowledged
            second.completed(late)
            there = in_orthanc(server, early)
            assert set(there) == made
            uids = _device_uids([*there.values(), *in_orthanc(server, late).values()])
            kept = (tmp_path / "gone" / "data" / "device-uid").read_text().strip()
            assert uids == {kept}
            looked = second.command("spool", "verify", "--hash", "--young-minutes", "0", "--json")
            assert looked.returncode == 0, looked.stdout
            assert json.loads(looked.stdout.splitlines()[-1])["found"] == {}
            assert dcmread(image).StudyInstanceUID == early
    finally:
        second.stop()


def _made(folder):
    folder.mkdir()
    return folder
