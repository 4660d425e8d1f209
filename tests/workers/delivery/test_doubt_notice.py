"""The notice of a draft in doubt: once for each copy, to each destination that has the draft."""

import threading
from datetime import timedelta

import pytest

from dicom.content.result_header import BASIC_TEXT_SR, SECONDARY_CAPTURE
from dicom.errors import DestinationRejected
from dicom.validation.result_object import faults
from service.jobs import DeliveryState, JobState
from service.settings.config import load_settings
from service.settings.destination_factory import destinations
from tests.workers.delivery.doubt_site import Site, phantom
from workers.delivery.delivering import Delivering


@pytest.fixture
def site(store, tmp_path):
    """A site on each kind of database."""
    return Site(store, tmp_path)


@pytest.fixture
def read(site):
    """An image whose draft every destination has, and the job."""
    return site.read()


def test_one_notice_for_each_copy(site, store, read):
    """The same copy again, and another look send nothing; another copy sends its own notice."""
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
    """Both copies arrived before the first notice was made; the page names the differences of both."""
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
    """No delivery is due afterwards; a retry sends the draft and the notice to the other one, too."""
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
    """Nor does a later copy make a notice due without a draft."""
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
    """If only images are sent the notice is a page; the other destination gets the document."""
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
    """The notice follows the draft to a new destination, and to an archive that lost both."""
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


def test_notices_are_published_by_the_sweeper_though_the_job_is_over(site, store, read):
    """A COMPLETED job's notice is due like any delivery."""
    _, job = read
    site.arrive(phantom(PatientID="RIGHT-2"), "second.dcm")
    site.doubts.compare_due()
    now = store.now()
    due = store.due_deliveries(now, now - timedelta(seconds=15))
    assert {found.id for _, found, _ in due} == {job.id}
