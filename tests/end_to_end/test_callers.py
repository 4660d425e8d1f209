"""Two senders of one Wetread: each has its model, its PACS and its rules, changed without a restart."""

import re

import pytest

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(180)]

CALLERS = """
[[receiver.callers]]
ae_title = "MODALITY"
destinations = ["wards"]

[[receiver.callers]]
ae_title = "CLINIC"
model = "second"
destinations = ["clinic"]
"""


@pytest.fixture
def clinic(orthanc_server_class, tmp_path):
    """A second Orthanc."""
    with orthanc_server_class(tmp_path / "orthanc") as server:
        yield server


@pytest.fixture
def image(tmp_path):
    """A function: a seed, and the view that the tags state -> its study's UID and a synthetic image."""

    def make(seed, view="PA"):
        dataset = as_dataset(draw(seed, rows=256, columns=256, view=view))
        return str(dataset.StudyInstanceUID), write(dataset, tmp_path / f"{seed}.dcm")

    return make


@pytest.fixture
def site(site_class, orthanc, clinic, tmp_path, free_port):
    """A Wetread with two models and two Orthancs; its calling AEs are in a file."""
    (folder := tmp_path / "site").mkdir()
    (folder / "wetread.toml").write_text(CALLERS)
    port = free_port()
    overrides = {
        "receiver": {"host": "127.0.0.1", "port": port, "min_free_bytes": 0},
        "models": [
            {"name": "second", "model": "tiny", "model_version": "7", "max_new_tokens": 16},
        ],
        "destinations": [
            {"kind": "orthanc", "name": "wards", "url": orthanc.url},
            {"kind": "orthanc", "name": "clinic", "url": clinic.url},
        ],
        "sweep": {"warn_free_bytes": 0, "early_free_bytes": 0},
    }
    running = site_class(folder, port, overrides)
    try:
        yield running.start()
    finally:
        running.stop()


def test_two_callers_two_models_two_pacs(site, orthanc, clinic, image, in_orthanc):
    """Each is read by its sender's model and lies in its sender's PACS; then the file changes."""
    ours, first = image(401)
    theirs, second = image(402)
    assert site.store_scu(first).acknowledged
    assert site.store_scu(second, calling="CLINIC").acknowledged
    job, other = site.completed(ours), site.completed(theirs)
    assert (job.model_name, job.draft.model.version) == ("demo", "1")
    assert (other.model_name, other.draft.model.version) == ("second", "7")
    assert other.draft.model.weights_sha256 != job.draft.model.weights_sha256
    for study, here, elsewhere in ((ours, orthanc, clinic), (theirs, clinic, orthanc)):
        assert "SR" in {str(each.Modality) for each in in_orthanc(here, study).values()}
        assert in_orthanc(elsewhere, study) == {}

    changed = CALLERS.replace('destinations = ["wards"]', 'model = "second"')
    (site.folder / "wetread.toml").write_text(f"{changed}stated_only = true\n")
    # Each process reads the file by itself: the receiver is the one that uses it.
    taken = re.compile(r"callers_reloaded .*process=receive")
    site.until(lambda: taken.search(site.log()), seconds=20, what="the new callers")
    silent, third = image(403, view="")
    both, fourth = image(404)
    assert site.store_scu(third, calling="CLINIC").acknowledged
    assert site.store_scu(fourth).acknowledged
    unread = site.settled(silent)
    assert (unread.state, unread.reason_code) == (JobState.NOT_ANALYSED, "NOT_STATED")
    assert site.completed(both).model_name == "second"
    assert {each.destination for each in site.store.deliveries(site.jobs(both)[0].id)} == {
        "wards",
        "clinic",
    }
