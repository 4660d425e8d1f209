"""A study that was not read: its recipients, its content, and its delivery."""

import threading

import pytest
from pydicom import dcmread

from dicom.content.report import NotRead
from dicom.phantom import as_dataset, draw_lateral, write
from dicom.selection.local_files import describe
from dicom.validation.result_object import faults
from service.jobs import DeliveryState, JobState
from service.records import JobRequest
from service.settings.config import load_settings
from service.settings.destination_factory import destinations
from workers.delivery.delivering import Delivering
from workers.reading.drafting import Drafting
from workers.reading.not_analysed_notice import notice_destinations
from workers.reading.outcomes import NotAnalysed


class Refusing:
    """A reader that reads no study, for the reason it was given."""

    def __init__(self, code="NOT_FRONTAL"):
        self.code = code

    def read(self, study, **_):
        """Return the reason."""
        images = tuple(
            NotRead(sop_instance_uid=image.sop_instance_uid, reason="It is a lateral view.")
            for image in study.instances
        )
        return NotAnalysed(code=self.code, sentence="No image is a frontal view.", not_read=images)


def settings_of(folder, **outputs):
    """Settings with a destination with notices and one without."""
    return load_settings(
        data_dir=folder / "data",
        outputs=outputs,
        destinations=[
            {
                "kind": "folder",
                "name": "notices",
                "path": str(folder / "notices"),
                "not_analysed": True,
            },
            {"kind": "folder", "name": "no_notices", "path": str(folder / "no_notices")},
        ],
    )


@pytest.fixture
def refuse(store, tmp_path):
    """A function that lets a lateral image arrive and not be read; returns job and messages."""

    def run(settings, *, reader=None, spoil=False, to=None):
        path = write(as_dataset(draw_lateral(5, rows=320, columns=288)), tmp_path / "image.dcm")
        image = describe(path)
        if spoil:
            path.write_bytes(b"no DICOM any more")
        store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
        uid = image.study_instance_uid
        model = settings.model_name
        wanted = JobRequest(study_instance_uid=uid, model=model, version="1", destinations=to)
        (job,) = store.schedule_all([wanted], actor="t", reason="Released.")
        published = []
        drafting = Drafting(
            store,
            settings,
            reader or Refusing(),
            published.append,
            "w",
            threading.Event(),
            lambda: pytest.fail("nothing hangs here"),
        )
        drafting.work(drafting.claim(job.id))
        return store.job(job.id), published

    return run


def deliver(store, settings, job):
    """Send the due deliveries."""
    sender = Delivering(store, settings, destinations(settings), "sender", threading.Event())
    while claim := sender.claim(job.id):
        sender.work(claim)


def test_only_configured_destinations_get_the_notice(refuse, store, tmp_path):
    """The notice lies read back at one destination, the other has nothing; the job ended as it did."""
    settings = settings_of(tmp_path)
    job, published = refuse(settings)
    assert [each.id for each in published] == [job.id]
    deliver(store, settings, job)
    (sent,) = (tmp_path / "notices").rglob("*.dcm")
    assert not (tmp_path / "no_notices").exists()
    document = dcmread(sent)
    assert document.SeriesDescription.startswith("AI: NOT ANALYZED")
    assert faults(document, dcmread(tmp_path / "image.dcm")) == ()
    texts = [str(element.value) for element in document.iterall() if element.keyword == "TextValue"]
    assert "Why the study was not analyzed: No image is a frontal view." in texts
    assert "Image 1 of 1 was not read: It is a lateral view." in texts
    (delivery,) = store.deliveries(job.id)
    assert (delivery.destination, delivery.state) == ("notices", DeliveryState.CONFIRMED)
    assert store.job(job.id).state is JobState.NOT_ANALYSED


def test_destinations_outside_the_job_get_no_notice(refuse, store, tmp_path):
    """A destination with notices gets none of a study that was to go elsewhere only."""
    job, published = refuse(settings_of(tmp_path), to=["no_notices", "clinic"])
    assert (job.state, published) == (JobState.NOT_ANALYSED, [])
    assert store.deliveries(job.id) == []


def test_by_default_no_notice_is_sent(refuse, store, tmp_path):
    """Without the setting there is no object, no delivery and no message."""
    settings = load_settings(
        data_dir=tmp_path / "data",
        destinations=[{"kind": "folder", "name": "A", "path": str(tmp_path / "a")}],
    )
    job, published = refuse(settings)
    assert (job.state, published) == (JobState.NOT_ANALYSED, [])
    assert (store.objects(job.id), store.deliveries(job.id)) == ([], [])


def test_the_page_is_made_by_option(refuse, store, tmp_path):
    """With the option there is a picture of the notice too."""
    job, _ = refuse(settings_of(tmp_path, not_analysed_page=True))
    assert [each.kind for each in store.objects(job.id)] == ["not-analysed", "not-analysed-page"]


def test_our_own_results_are_not_reported(refuse, store, tmp_path):
    """A PACS that forwards what it gets would be answered for ever."""
    job, published = refuse(settings_of(tmp_path), reader=Refusing("OWN_RESULT"))
    assert (job.reason_code, published) == ("OWN_RESULT", [])
    assert store.objects(job.id) == []


def test_no_notice_is_sent_where_a_draft_stands(refuse, tmp_path):
    """A notice that no result exists would be wrong."""
    settings = settings_of(tmp_path)
    job, _ = refuse(settings)
    result = NotAnalysed(code="NOT_FRONTAL", sentence="x", not_read=())
    assert notice_destinations(settings, result, earlier=None) == ["notices"]
    assert notice_destinations(settings, result, earlier=job) == []


def test_an_image_that_does_not_state_whose_it_is_leaves_the_job_ended(refuse, store, tmp_path):
    """Without a readable header no notice can be made; the job still has the reason."""
    job, published = refuse(settings_of(tmp_path), spoil=True)
    assert (job.state, published) == (JobState.NOT_ANALYSED, [])
    assert store.objects(job.id) == []
