"""Refused objects are kept with the reasons and are not sent."""

import json
import threading

import pytest
from pydicom import dcmread

from dicom.errors import InvalidOutput
from dicom.phantom import as_dataset, draw, write
from dicom.results.not_analysed import UnreadStudy, not_analysed_report
from dicom.results.outputs import Equipment
from dicom.selection.local_files import describe
from dicom.validation.result_object import ValidationFailed, check
from service.errors import PermanentReadingError
from service.jobs import JobState
from service.settings.config import load_settings
from workers.reading.drafting import Drafting
from workers.reading.quarantine import OBJECT, REASONS, quarantine


@pytest.fixture
def refused(tmp_path, clock):
    """An image, and validation's error about a document that lacks its language and is marked DRAFT."""
    image = as_dataset(draw(41, rows=128, columns=112))
    path = write(image, tmp_path / "image.dcm")
    study = UnreadStudy(
        study_instance_uid=image.StudyInstanceUID,
        images=(),
        reason="x",
        revision=1,
        produced_at=clock(),
    )
    document = not_analysed_report(study, image, Equipment(device_uid="2.25.9"))
    document.PreliminaryFlag = "DRAFT"
    del document.ContentSequence[1]
    with pytest.raises(ValidationFailed) as caught:
        check(document, image)
    return path, caught.value


class Failing:
    """A reader whose result validation refuses."""

    def __init__(self, error):
        self.error = error

    def read(self, *_, **__):
        """Raise as `workers.reading.reader` does: validation's error is the cause."""
        raise PermanentReadingError(str(self.error)) from self.error


def test_the_job_fails_with_the_reasons_and_the_object_is_kept(refused, store, tmp_path):
    """FAILED, every reason in a file, the object beside it, nothing to deliver."""
    path, error = refused
    image = describe(path)
    settings = load_settings(
        data_dir=tmp_path / "data",
        destinations=[{"kind": "folder", "name": "A", "path": str(tmp_path / "a")}],
    )
    store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
    uid = image.study_instance_uid
    model = settings.model_name
    made = store.schedule(uid, model=model, version="1", actor="t", reason="Released.")
    ended = threading.Event()
    drafting = Drafting(store, settings, Failing(error), lambda _: None, "w", ended, ended.set)
    job = drafting.claim(made.id)
    with pytest.raises(PermanentReadingError) as caught:
        drafting.work(job)
    drafting.give_back(job, caught.value)
    after = store.job(job.id)
    assert after.state is JobState.FAILED
    assert "breaks 2 rule(s)" in after.last_error
    kept = settings.outbox_dir / job.id / "quarantine"
    rules = {each["rule"] for each in json.loads((kept / REASONS).read_text())}
    assert rules == {"enumerated", "language"}
    assert dcmread(kept / OBJECT).PreliminaryFlag == "DRAFT"
    assert (store.objects(job.id), store.deliveries(job.id)) == ([], [])


def test_other_errors_leave_nothing(tmp_path):
    """Only what validation refused is kept."""
    assert not quarantine(tmp_path / "q", InvalidOutput("a region is no number"))
    assert not (tmp_path / "q").exists()


def test_a_full_disk_does_not_hide_the_error(refused, small_disk):
    """What cannot be kept is logged; nothing is raised."""
    (small_disk / "full").write_bytes(b"\0" * (2**21 - 2**14))
    with pytest.raises(OSError, match="space"):
        (small_disk / "more").write_bytes(b"\0" * 2**20)
    assert quarantine(small_disk / "q", refused[1])
