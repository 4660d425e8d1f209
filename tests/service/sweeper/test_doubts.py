"""A second content of an image puts the draft about it in doubt: once, everywhere, durably."""

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from dicom.validation.result_object import faults
from service.jobs import DeliveryState, DraftStatus, JobState
from service.records import Arrival
from service.sweeper.doubts import Doubts
from tests.workers.delivery.doubt_site import Site, phantom, repainted


@pytest.fixture
def site(store, tmp_path):
    """A site on each kind of database."""
    return Site(store, tmp_path)


@pytest.fixture
def read(site):
    """An image whose draft every destination has, and the job."""
    return site.read()


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
    """An image with a changed corner is another picture."""
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


def test_a_copy_whose_first_was_removed_cannot_be_distinguished_from_another(site, store, read):
    """After retention no comparison and no notice are possible: only the job is in doubt."""
    image, job = read
    for each in store.spooled(image.StudyInstanceUID):
        store.mark_instance_removed(each)
    store.removed(job.id, "Old.")
    site.arrive(phantom(StudyDescription="x"), "second.dcm")
    site.doubts.compare_due()
    assert "no longer kept" in store.job(job.id).doubt
    assert store.notices(job.id) == []


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
    """A lack of resources, or a bug, puts no draft in doubt at once and stops no later comparison."""
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
    """After ten tries the picture counts as different."""
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
