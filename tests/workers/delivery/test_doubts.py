"""A second content of an image puts the draft about it in doubt: once, everywhere, durably."""

import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.content.result_header import BASIC_TEXT_SR, SECONDARY_CAPTURE
from dicom.errors import DestinationRejected
from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import Equipment, build
from dicom.selection.local_files import describe
from dicom.validation.result_object import faults
from service.jobs import DeliveryState, DraftStatus, JobState
from service.records import Arrival
from service.settings.config import load_settings
from service.settings.destination_factory import destinations
from service.sweeper.doubts import Doubts
from workers.delivery.delivering import Delivering
from workers.outbox import write_outputs

EQUIPMENT = Equipment(device_uid="2.25.9", software_version="0.1.0")


class Site:
    """A store, two folders as destinations, images and drafts."""

    def __init__(self, store, folder):
        self.store, self.folder = store, folder
        self.settings = load_settings(
            data_dir=folder / "data",
            destinations=[
                {"kind": "folder", "name": name, "path": str(folder / name)} for name in ("a", "b")
            ],
        )
        self.doubts = Doubts(store, self.settings)

    def arrive(self, image, name):
        """Let an image arrive; return what the store found."""
        path = image if isinstance(image, Path) else write(image, self.folder / name)
        return self.store.add_instance(
            describe(path), calling_ae="CR1", association_id=name, eligible=True
        )

    def claimed(self, image):
        """Return the job of the image's study, held by a worker."""
        job = self.store.schedule(
            image.StudyInstanceUID, model="m", version="1", actor="t", reason="Released."
        )
        return self.store.claim_reading(job.id, "reader", 60)

    def drafted(self, image, job):
        """Return the held job with a draft about the image."""
        source = SourceImage(
            sop_instance_uid=image.SOPInstanceUID,
            sop_class_uid=image.SOPClassUID,
            series_instance_uid=image.SeriesInstanceUID,
            rows=image.Rows,
            columns=image.Columns,
        )
        draft = DraftReport(
            study_instance_uid=image.StudyInstanceUID,
            source=source,
            revision=job.revision,
            produced_at=job.produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="M", version="1", weights_sha256="0" * 64),
        )
        outputs = build(draft, image, np.zeros((image.Rows, image.Columns), np.float32), EQUIPMENT)
        images = [each.path for each in self.store.instances(image.StudyInstanceUID)]
        objects = write_outputs(self.settings.outbox_dir / job.id / "1", outputs, images)
        return self.store.draft(job.id, job.fence, draft, objects, ["a", "b"])

    def deliver(self, job):
        """Send what is due of the job."""
        where = destinations(self.settings)
        sender = Delivering(self.store, self.settings, where, "sender", threading.Event())
        while (claim := sender.claim(job.id)) is not None:
            sender.work(claim)
        return self.store.job(job.id)

    def notices(self, name="a"):
        """Return the notices of doubt that a destination holds."""
        found = [dcmread(path) for path in (self.folder / name).rglob("*.dcm")]
        return [each for each in found if "IN DOUBT" in each.SeriesDescription]


@pytest.fixture
def site(store, tmp_path):
    """A site on each kind of database."""
    return Site(store, tmp_path)


@pytest.fixture
def read(site):
    """An image whose draft every destination has, and the job."""
    image = phantom()
    site.arrive(image, "first.dcm")
    job = site.deliver(site.drafted(image, site.claimed(image)))
    assert job.state is JobState.COMPLETED
    return image, job


def phantom(**changes):
    """An image, always the same but for the changes."""
    image = as_dataset(draw(7, rows=160, columns=144))
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


def repainted():
    """The image with other letters in its corner: a small part of the picture."""
    image = phantom()
    pixels = image.pixel_array.copy()
    pixels[8:40, 8:40] = pixels.max() - pixels[8:40, 8:40]
    image.PixelData = pixels.tobytes()
    return image


def test_another_patient_on_the_same_image_puts_the_draft_in_doubt(site, store, read):
    """The job, its history, the incidents and each destination state it; the delivery stays."""
    image, job = read
    assert site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm") is Arrival.CONFLICT
    assert site.doubts.compare_due() == 1
    after = store.job(job.id)
    assert (after.state, after.draft_status) == (JobState.COMPLETED, DraftStatus.IN_DOUBT)
    assert after.doubt == "A later copy of its image differs in Patient ID."
    assert store.events(job.id)[-1].action == "draft_in_doubt"
    assert "draft_in_doubt" in {each.kind for each in store.incidents()}
    assert store.alarm_counts()[DraftStatus.IN_DOUBT] == 1
    assert [each.state for each in store.notices(job.id)] == [DeliveryState.PENDING] * 2
    site.deliver(job)
    assert [each.state for each in store.notices(job.id)] == [DeliveryState.CONFIRMED] * 2
    (notice,) = site.notices("a")
    assert faults(notice, image) == ()
    assert notice.PatientID == image.PatientID
    text = " ".join(str(each.value) for each in notice.iterall() if each.keyword == "TextValue")
    assert "A corrected or conflicting copy of the image arrived" in text
    assert "differs in Patient ID" in text
    assert "RIGHT-2" not in text
    reference = notice.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    uid = reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == store.predecessor(job).sop_instance_uid


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"PatientName": "Another^Person"}, "Patient's Name"),
        ({"AccessionNumber": "OTHER"}, "Accession Number"),
        ({"StudyInstanceUID": "2.25.77"}, "Study Instance UID"),
        ({"SeriesInstanceUID": "2.25.78"}, "Series Instance UID"),
        ({"PatientBirthDate": "19010101"}, "Patient's Birth Date"),
        ({"ViewPosition": "AP"}, "View Position"),
        ({"PatientOrientation": ["R", "F"]}, "Patient Orientation"),
    ],
)
def test_what_states_whose_or_which_image_it_is_puts_the_draft_in_doubt(
    site, store, read, changes, differs
):
    """Each of them is named, without its value."""
    _, job = read
    site.arrive(phantom(**changes), "second.dcm")
    site.doubts.compare_due()
    assert store.job(job.id).doubt == f"A later copy of its image differs in {differs}."


def test_another_picture_of_the_same_patient_puts_the_draft_in_doubt(site, store, read):
    """A corner that was painted over is another picture."""
    _, job = read
    site.arrive(repainted(), "second.dcm")
    site.doubts.compare_due()
    assert store.job(job.id).doubt == "A later copy of its image differs in the displayed pixels."


@pytest.mark.parametrize(
    "changes",
    [
        {"StudyDescription": "Thorax"},
        {"ContentTime": "235959"},
        {"WindowCenter": "1000"},
        {"PatientName": "PHANTOM^CHEST 7^Maria"},
        {"PatientName": "phantom^chest 7"},
        {"AccessionNumber": ""},
        {"OperatorsName": "Ann"},
    ],
)
def test_harmless_changes_leave_the_draft_as_it_is(site, store, read, changes):
    """They are compared and kept apart; nothing is sent and no draft is in doubt."""
    image, job = read
    assert site.arrive(phantom(**changes), "second.dcm") is Arrival.CONFLICT
    assert site.doubts.compare_due() == 0
    assert store.job(job.id).draft_status is DraftStatus.STANDS
    assert store.notices(job.id) == []
    (second,) = [each for each in store.instances(image.StudyInstanceUID) if each.conflict]
    assert (second.compared, second.differs) == (True, "")


def test_the_same_picture_in_another_transfer_syntax_is_the_same(site, store, read):
    """A PACS that sends the image compressed puts nothing in doubt."""
    _, job = read
    image = phantom()
    image.compress(JPEG2000Lossless, generate_instance_uid=False)
    path = site.folder / "second.dcm"
    image.save_as(path, enforce_file_format=True)
    assert site.arrive(path, "second") is Arrival.CONFLICT
    assert site.doubts.compare_due() == 0
    assert store.job(job.id).doubt == ""


def test_one_notice_for_each_copy(site, store, read):
    """The same copy again, and another look, send nothing more; another copy sends its own notice."""
    _, job = read
    for _ in range(2):
        site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
        site.doubts.compare_due()
        site.deliver(job)
    assert len(site.notices()) == 1
    site.arrive(phantom(PatientID="RIGHT-3"), "third.dcm")
    site.doubts.compare_due()
    site.deliver(job)
    assert len(site.notices()) == 2
    assert [each.action for each in store.events(job.id)].count("draft_in_doubt") == 2


def sentences(notice):
    """The text of a notice."""
    return " ".join(str(each.value) for each in notice.iterall() if each.keyword == "TextValue")


def test_each_notice_names_the_differences_of_its_own_copy(site, store, read):
    """Both copies came before the first notice was made; the page names the differences of both."""
    _, job = read
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    site.arrive(phantom(AccessionNumber="OTHER"), "third.dcm")
    site.doubts.compare_due()
    site.deliver(job)
    texts = sorted(map(sentences, site.notices()), key=lambda text: "Accession" in text)
    assert ["differs in Patient ID." in text for text in texts] == [True, False]
    assert ["differs in Accession Number." in text for text in texts] == [False, True]
    assert store.job(job.id).doubt == (
        "A later copy of its image differs in Patient ID. Another copy differs in Accession Number."
    )


def test_many_different_copies_leave_the_sentence_short(site, store, read):
    """The first ones are named, the others counted; equal differences are named once."""
    _, job = read
    names = ["PatientID", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID"]
    for number in range(2, 6):
        for index, name in enumerate(names):
            site.arrive(phantom(**{name: f"2.25.{number}"}), f"{number}-{index}.dcm")
    for first, second in zip(names, [*names[1:], names[0]], strict=True):
        site.arrive(phantom(**{first: "2.25.8", second: "2.25.9"}), f"{first}.dcm")
    site.doubts.compare_due()
    doubt = store.job(job.id).doubt
    assert doubt.count("Patient ID.") == 1
    assert doubt.endswith(" 3 more copies differ in yet other ways.")


def test_what_was_found_before_a_file_was_removed_still_holds(site, store, read):
    """The second copy left the spool; sent again, the draft is in doubt for the reason known."""
    _, job = read
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    (second,) = [
        each for each in store.spooled(job.study_instance_uid) if "second" in each.path.name
    ]
    store.mark_instance_removed(second)
    store.resend(job.id, "Ann")
    site.deliver(job)
    site.doubts.compare_due()
    assert store.job(job.id).doubt == "A later copy of its image differs in Patient ID."


@pytest.fixture
def half_sent(site, store):
    """A job in doubt whose draft destination "a" has; to "b" nothing was ever sent."""
    image = phantom()
    site.arrive(image, "first.dcm")
    job = site.drafted(image, site.claimed(image))
    where = destinations(site.settings)
    sender = Delivering(store, site.settings, where, "sender", threading.Event())
    sender.work(sender.claim(job.id, excluding=["b"]))
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    return job


def test_a_canceled_job_warns_where_its_draft_is_and_nowhere_else(site, store, half_sent):
    """Nothing is owed afterwards; a retry sends the draft and the notice to the other one, too."""
    store.cancel(half_sent.id, "Ann")
    site.deliver(half_sent)
    states = {each.destination: each.state for each in store.notices(half_sent.id)}
    assert states == {"a": DeliveryState.CONFIRMED, "b": DeliveryState.CANCELED}
    assert [len(site.notices(name)) for name in "ab"] == [1, 0]
    assert not any(each.waiting for each in store.backlogs(["a", "b"]))
    store.retry(half_sent.id, "Ann")
    site.deliver(half_sent)
    assert [len(site.notices(name)) for name in "ab"] == [1, 1]


def test_a_copy_that_comes_after_the_cancel_warns_where_the_draft_is(site, store, half_sent):
    """Nor does a later copy make a notice due where no draft is."""
    store.cancel(half_sent.id, "Ann")
    site.arrive(phantom(PatientID="RIGHT-3"), "third.dcm")
    site.doubts.compare_due()
    site.deliver(half_sent)
    assert [len(site.notices(name)) for name in "ab"] == [2, 0]


@pytest.mark.parametrize(
    ("objects", "sop_class"),
    [
        (["images"], SECONDARY_CAPTURE),
        (["overlay"], SECONDARY_CAPTURE),
        (["report-page", "findings"], SECONDARY_CAPTURE),
        (["report"], BASIC_TEXT_SR),
        (["report", "images"], BASIC_TEXT_SR),
    ],
)
def test_a_notice_is_of_a_kind_that_the_destination_gets(site, objects, sop_class):
    """Where only images go the notice is a page; the other destination gets the document."""
    first, second = (each.model_dump(mode="json") for each in site.settings.destinations)
    site.settings = load_settings(
        data_dir=site.folder / "data", destinations=[first | {"objects": objects}, second]
    )
    image = phantom()
    site.arrive(image, "first.dcm")
    job = site.deliver(site.drafted(image, site.claimed(image)))
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    site.deliver(job)
    (notice,), (other,) = site.notices("a"), site.notices("b")
    assert (notice.SOPClassUID, other.SOPClassUID) == (sop_class, BASIC_TEXT_SR)
    assert faults(notice, image) == ()
    assert notice.PatientID == image.PatientID
    if sop_class == SECONDARY_CAPTURE:
        assert notice.ImageComments.startswith("AI draft in doubt")
        assert notice.pixel_array.min() == 0
        assert notice.SOPInstanceUID != other.SOPInstanceUID


def test_where_no_notice_can_go_a_person_is_asked(site, store):
    """A destination of PDFs takes neither; the notice is FAILED with the reason."""
    first, second = (each.model_dump(mode="json") for each in site.settings.destinations)
    site.settings = load_settings(
        data_dir=site.folder / "data",
        destinations=[first | {"objects": ["report-pdf"]}, second],
    )
    image = phantom()
    site.arrive(image, "first.dcm")
    job = site.deliver(site.drafted(image, site.claimed(image)))
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    sender = Delivering(
        store, site.settings, destinations(site.settings), "sender", threading.Event()
    )
    while (claim := sender.claim(job.id)) is not None:
        try:
            sender.work(claim)
        except DestinationRejected as error:
            sender.give_back(claim, error)
    states = {each.destination: each for each in store.notices(job.id)}
    assert states["a"].state is DeliveryState.FAILED
    assert "neither reports nor images" in states["a"].last_error
    assert states["b"].state is DeliveryState.CONFIRMED


def test_a_draft_that_is_sent_again_brings_its_notice(site, store, read):
    """The notice follows the draft to where it was not before, and to an archive that lost both."""
    _image, job = read
    site.arrive(phantom(PatientID="OTHER"), "second.dcm")
    site.doubts.compare_due()
    site.deliver(job)
    before = site.notices("b")
    assert [len(site.notices(name)) for name in "ab"] == [1, 1]
    for path in (site.folder / "b").rglob("*.dcm"):
        path.unlink()
    with_c = {"kind": "folder", "name": "c", "path": str(site.folder / "c")}
    site.settings = load_settings(
        data_dir=site.folder / "data", destinations=[*site.settings.destinations, with_c]
    )
    store.resend(job.id, "Ann", to=["b", "c"])
    site.deliver(job)
    site.doubts.compare_due()
    site.deliver(job)
    assert [len(site.notices(name)) for name in "abc"] == [1, 1, 1]
    assert site.notices("b") == before  # the same object, not another one
    assert store.job(job.id).doubt


def test_a_draft_that_is_delivered_after_a_retry_brings_its_notice(site, store):
    """A destination that refused both gets both, the draft first."""
    image = phantom()
    site.arrive(image, "first.dcm")
    job = site.drafted(image, site.claimed(image))
    site.arrive(phantom(PatientID="OTHER"), "second.dcm")
    site.doubts.compare_due()
    while (claimed := store.claim_delivery(job.id, "sender", 60, {})) is not None:
        store.fail_delivery(claimed[0].id, claimed[0].fence, "refused.")
    assert store.job(job.id).state is JobState.FAILED
    assert [each.state for each in store.notices(job.id)] == [DeliveryState.FAILED] * 2
    store.retry(job.id, "Ann")
    site.deliver(job)
    assert store.job(job.id).state is JobState.COMPLETED
    assert [len(site.notices(name)) for name in "ab"] == [1, 1]


def test_a_copy_that_came_before_the_draft_counts(site, store):
    """It was compared while there was no draft: once there is one, it is compared again."""
    image = phantom()
    site.arrive(image, "first.dcm")
    held = site.claimed(image)
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    assert site.doubts.compare_due() == 0
    job = site.drafted(image, held)
    assert site.doubts.compare_due() == 1
    # The notice waits for the draft, which is sent first.
    first, second = (store.claim_delivery(job.id, "sender", 60, {})[0] for _ in range(2))
    assert (first.notice, second.notice) == ("", "")
    assert store.claim_delivery(job.id, "sender", 60, {}) is None
    store.confirm_delivery(second.id, second.fence)
    notice, _ = store.claim_delivery(job.id, "sender", 60, {})
    assert (notice.destination, bool(notice.notice)) == (second.destination, True)


def test_a_copy_whose_first_was_removed_cannot_be_distinguished_from_another(site, store, read):
    """After retention nothing can be compared and no notice made: the job alone is in doubt."""
    image, job = read
    for each in store.spooled(image.StudyInstanceUID):
        store.mark_instance_removed(each)
    store.removed(job.id, "Old.")
    site.arrive(phantom(StudyDescription="x"), "second.dcm")
    site.doubts.compare_due()
    assert "no longer kept" in store.job(job.id).doubt
    assert store.notices(job.id) == []


def test_a_notice_that_failed_is_sent_by_a_retry(site, store, read):
    """A destination that refused it gets it when a person tries again."""
    _, job = read
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    store.fail_delivery(delivery.id, delivery.fence, "refused.")
    assert store.job(job.id).state is JobState.COMPLETED
    store.retry(job.id, "Ann")
    site.deliver(job)
    assert len(site.notices()) == 1


def test_a_missing_spool_puts_nothing_in_doubt(site, store, read):
    """Where a file is not there the comparison waits for it."""
    _, job = read
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    (site.folder / "first.dcm").rename(site.folder / "away")
    assert site.doubts.compare_due() == 0
    assert store.job(job.id).doubt == ""
    (site.folder / "away").rename(site.folder / "first.dcm")
    assert site.doubts.compare_due() == 1


def test_copies_that_wait_keep_no_later_one_from_being_compared(site, store, read):
    """A lost file of many copies delays none of another image."""
    _image, job = read
    lost = phantom(SOPInstanceUID="2.25.4711")
    site.arrive(lost, "lost.dcm")
    for number in range(45):
        lost.PatientID = f"COPY-{number}"
        site.arrive(lost, f"copy-{number}.dcm")
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    (site.folder / "lost.dcm").unlink()
    assert site.doubts.compare_due() == 1
    assert store.job(job.id).doubt == "A later copy of its image differs in Patient ID."


@pytest.mark.parametrize("raises", [BlockingIOError, ZeroDivisionError])
def test_a_picture_that_cannot_be_decoded_now_is_compared_later(
    site, store, read, monkeypatch, raises
):
    """Short resources, or a bug, put no draft in doubt at once, and end no later comparison."""
    _, job = read
    seconds = [0.0]
    doubts = Doubts(store, site.settings, clock=lambda: seconds[0])
    image = phantom()
    image.compress(JPEG2000Lossless, generate_instance_uid=False)
    image.save_as(site.folder / "second.dcm", enforce_file_format=True)
    site.arrive(site.folder / "second.dcm", "second")

    def fails(**_):
        raise raises

    with monkeypatch.context() as patched:
        patched.setattr("service.sweeper.doubts.Decoders", fails)
        assert doubts.compare_due() == 0
    assert doubts.compare_due() == 0  # too early
    assert len(store.conflicts_to_compare()) == 1
    seconds[0] += 61
    assert doubts.compare_due() == 0
    assert store.conflicts_to_compare() == []
    assert store.job(job.id).doubt == ""


def test_a_picture_that_can_never_be_decoded_puts_the_draft_in_doubt(
    site, store, read, monkeypatch
):
    """After ten tries nobody can say that it is the same picture."""
    _, job = read
    seconds = [0.0]
    doubts = Doubts(store, site.settings, clock=lambda: seconds[0])
    site.arrive(repainted(), "second.dcm")

    def fails(**_):
        raise BlockingIOError

    monkeypatch.setattr("service.sweeper.doubts.Decoders", fails)
    for _ in range(9):
        assert doubts.compare_due() == 0
        seconds[0] += 61
    assert doubts.compare_due() == 1
    assert "cannot be decoded" in store.job(job.id).doubt


def test_notices_are_published_by_the_sweeper_though_the_job_is_over(site, store, read):
    """A COMPLETED job's notice is due like any delivery."""
    _, job = read
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    now = store.now()
    due = store.due_deliveries(now, now - timedelta(seconds=15))
    assert {found.id for _, found, _ in due} == {job.id}


def test_the_corrected_image_of_the_trials(site, store, shared_data):
    """An image of WRONG-1, then RIGHT-2 with the same SOP Instance UID."""
    trials = shared_data / "trials" / "modality"
    first, second = trials / "re_first.dcm", trials / "re_corrected_same_uid.dcm"
    image = dcmread(first)
    site.arrive(first, "first")
    job = site.deliver(site.drafted(image, site.claimed(image)))
    assert site.arrive(second, "second") is Arrival.CONFLICT
    assert site.doubts.compare_due() == 1
    assert "Patient ID" in store.job(job.id).doubt
    site.deliver(job)
    assert len(site.notices("a")) == len(site.notices("b")) == 1
