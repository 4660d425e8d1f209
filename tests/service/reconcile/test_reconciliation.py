"""An archive is compared with what was received, and what is missing is fetched, with a real Orthanc."""

import json
import urllib.request
from datetime import datetime, timedelta

import pytest
from pydicom import dcmread

from dicom.content.result_header import SECONDARY_CAPTURE
from dicom.errors import DestinationUnavailable
from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.errors import ConfigurationError
from service.receiver.calling_aes import CallingAEs
from service.receiver.intake import Intake
from service.reconcile.comparison import Lack
from service.reconcile.schedule import open_context
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database

pytestmark = [pytest.mark.orthanc, pytest.mark.timeout(180)]

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
LONG = 24 * 365 * 9.0  # hours: the phantoms' Study Date is years ago


@pytest.fixture
def archive(orthanc_server_class, tmp_path):
    """An Orthanc of this test's own, from which any AE title may get instances."""

    class Gettable(orthanc_server_class):
        def configuration(self):
            return super().configuration() | {"DicomAlwaysAllowGet": True}

    with Gettable(tmp_path / "archive") as server:
        yield server


@pytest.fixture
def site(tmp_path, archive):
    """A function: kind of connection, keys of `[[reconcile]]` -> settings with a database."""

    def make(kind="orthanc", **keys):
        connection = {"name": "archive", "kind": kind}
        if kind == "dimse":
            address = {"host": "127.0.0.1", "port": archive.dicom_port, "ae_title": "ORTHANC"}
        else:
            address = {"url": archive.url if kind == "orthanc" else archive.dicomweb_url}
        table = {"archive": connection | address, "calling_ae": "ORTHANC", "hours": LONG}
        settings = load_settings(
            data_dir=str(tmp_path / "data"),
            broker={"url": "redis://127.0.0.1:1/0"},  # unavailable: the sweeper would publish later
            receiver={"callers": [{"ae_title": "ORTHANC"}], "min_free_bytes": 0},
            reconcile=[table | keys],
        )
        make_database(settings.database_url)
        return settings

    return make


@pytest.fixture
def image(tmp_path):
    """A function: seed, changed attributes -> the file of a small synthetic image."""

    def make(seed, name="", **changes):
        dataset = as_dataset(draw(seed, rows=128, columns=128))
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        return write(dataset, tmp_path / f"{seed}{name}.dcm")

    return make


def upload(server, *paths):
    """Store files in an Orthanc; return the Study Instance UIDs."""
    for path in paths:
        request = urllib.request.Request(f"{server.url}/instances", data=path.read_bytes())  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
            assert json.load(answer)["Status"] == "Success"
    return {str(dcmread(path).StudyInstanceUID) for path in paths}


def look(settings, *, fetches=False, **how):
    """Compare the only archive of the settings once, as the command does."""
    with open_context(settings, fetches=fetches) as (_, context):
        (table,) = settings.reconcile
        reconciler = context.reconciler(table, fetches=fetches)
        return reconciler.compare(**{"complete": True, "at_once": True, **how})


@pytest.fixture
def stored():
    """A function: settings -> the store, closed at the end."""
    opened_stores = []

    def open_store(settings):
        opened_stores.append(Store.open(settings))
        return opened_stores[-1]

    yield open_store
    for each in opened_stores:
        each.close()


@pytest.mark.parametrize("kind", ["orthanc", "stow", "dimse"])
def test_a_study_that_never_came_is_listed_and_fetched(kind, archive, site, image, stored):
    """Over each kind of connection it is listed as missing; fetched, it is durable and has one job."""
    studies = upload(archive, image(1), image(2))
    settings = site(kind)
    found = look(settings)
    assert {(each.study_instance_uid, each.lack) for each in found.lacking} == {
        (uid, Lack.STUDY) for uid in studies
    }
    store = stored(settings)
    assert store.jobs() == []
    assert [each.missing for each in store.reconciliations()] == [2]
    fetched = look(settings, fetches=True)
    assert (len(fetched.fetched), fetched.lacking, fetched.fault) == (2, [], "")
    assert {job.study_instance_uid for job in store.jobs()} == studies
    for uid in studies:
        (received,) = store.instances(uid)
        assert received.calling_ae == "ORTHANC"
        (file,) = settings.spool_dir.glob(f"*/*.{received.sop_instance_uid}.*")
        assert dcmread(file).StudyInstanceUID == uid
    again = look(settings, fetches=True)
    assert (again.fetched, again.lacking) == ([], [])
    assert len(store.jobs()) == 2
    assert [each.missing for each in store.reconciliations()] == [0]


@pytest.mark.parametrize("kind", ["orthanc", "stow", "dimse"])
def test_a_study_of_which_one_instance_is_absent_is_incomplete(kind, archive, site, image):
    """An instance that was stored later than the others is found, also in the same series."""
    first = image(1)
    upload(archive, first)
    settings = site(kind)
    look(settings, fetches=True)
    other = {"SOPInstanceUID": f"{dcmread(first).SOPInstanceUID}.1", "InstanceNumber": "2"}
    upload(archive, image(1, "b", **other))
    (lacking,) = look(settings).lacking
    assert lacking.lack is Lack.INSTANCES
    assert [each.sop_instance_uid for each in lacking.absent] == [other["SOPInstanceUID"]]
    assert look(settings, fetches=True).lacking == []


@pytest.mark.parametrize("kind", ["orthanc", "stow", "dimse"])
def test_what_is_not_accepted_here_is_not_missing(kind, archive, site, image):
    """Other SOP Classes and other Modalities are no lack; the classes are counted."""
    mammogram = image(1, SOPClassUID=MAMMOGRAPHY)
    upload(archive, mammogram, image(2, Modality="CT"), image(3, Modality="OT"))
    found = look(site(kind))
    assert found.lacking == []
    assert found.other_classes == {MAMMOGRAPHY: 1}


def test_what_was_not_absent_for_long_may_be_on_its_way(archive, site, image, stored):
    """Only after `after_seconds` it is missing, and only then fetched; the position waits for it."""
    settings = site(after_seconds=60, fetch=True)
    upload(archive, image(1))
    passed = [0.0]
    with open_context(settings, fetches=True) as (store, context):
        reconciler = context.reconciler(settings.reconcile[0], fetches=True)
        reconciler._passed = lambda: passed[0]
        early = reconciler.compare()
        assert (early.waiting, early.lacking, early.fetched) == (1, [], [])
        passed[0] = 59.0
        assert reconciler.compare().fetched == []
        passed[0] = 60.0
        late = reconciler.compare()
        assert (late.waiting, late.lacking, len(late.fetched)) == (0, [], 1)
        kinds = [each.kind for each in store.incidents()]
        assert kinds == ["studies_fetched"]
    assert len(stored(settings).jobs()) == 1


def test_what_is_here_is_not_asked_for_again(archive, site, image, stored):
    """The position stays before what is absent, and moves on once it is here, over a restart as well."""
    settings = site()
    upload(archive, image(1))
    look(settings, complete=False)
    store = stored(settings)
    (before,) = store.reconciliations()
    assert look(settings, complete=False).studies == 1
    look(settings, complete=False, fetches=True)
    look(settings, complete=False)
    (after,) = store.reconciliations()
    assert after.position > before.position
    assert look(settings, complete=False).studies == 0
    upload(archive, image(2))
    assert [each.lack for each in look(settings, complete=False).lacking] == [Lack.STUDY]


def test_an_archive_that_is_away_is_reported_once(archive, site, image, stored):
    """It fails with the reason; page and metrics have it; the missing studies stay counted."""
    settings = site()
    upload(archive, image(1))
    look(settings)
    archive.stop()
    for _ in range(2):
        with pytest.raises(DestinationUnavailable, match="cannot be reached"):
            look(settings)
    store = stored(settings)
    (row,) = store.reconciliations()
    assert row.missing == 1
    assert "cannot be reached" in row.fault
    assert row.compared_at is not None
    assert row.compared_at < row.tried_at
    kinds = [each.kind for each in store.incidents()]
    assert kinds.count("archive_not_compared") == 1


def test_an_instance_that_cannot_be_stored_states_why_and_is_fetched_once(archive, site, image):
    """An image larger than allowed is listed with the reason; the others of the archive are fetched."""
    settings = site()
    receiver = settings.receiver.model_copy(update={"max_object_bytes": 20_000})
    small = settings.model_copy(update={"receiver": receiver})
    upload(archive, image(1))
    with open_context(small, fetches=True) as (store, context):
        reconciler = context.reconciler(small.reconcile[0], fetches=True)
        for _ in range(2):
            (lacking,) = reconciler.compare(at_once=True).lacking
            assert "larger" in lacking.refused
        assert [each.kind for each in store.incidents()] == ["studies_missing"]
    assert len(look(settings, fetches=True).fetched) == 1


def test_what_cannot_be_stored_now_is_fetched_later(archive, site, image, stored):
    """A full disk, or too many images in a minute (0xA700): nothing is abandoned, with reason."""
    settings = site(after_seconds=0)
    receiver = settings.receiver.model_copy(update={"min_free_bytes": 2**60})
    full = settings.model_copy(update={"receiver": receiver})
    upload(archive, image(1), image(2))
    refused = look(full, fetches=True, complete=False)
    assert (len(refused.lacking), refused.fetched) == (2, [])
    assert refused.fault == "the spool's disk is nearly full"
    (row,) = stored(settings).reconciliations()
    assert (row.missing, row.fault, row.complete_at) == (2, refused.fault, None)
    later = look(settings, fetches=True, complete=False)
    assert (len(later.fetched), later.lacking, later.fault) == (2, [], "")


@pytest.mark.parametrize("kind", ["orthanc", "stow", "dimse"])
def test_no_outage_is_too_long(kind, archive, site, image, stored):
    """Instances older than `hours` are fetched if they arrived while nothing was compared.

    A manual comparison has its own window and moves no position.
    """
    hour = timedelta(hours=1)
    today = f"{datetime.now().astimezone():%Y%m%d}"
    settings = site(kind, hours=1, after_seconds=0)
    upload(archive, image(1, StudyDate=today))
    store = stored(settings)
    with open_context(settings, fetches=True) as (_, context):
        first = context.reconciler(settings.reconcile[0], fetches=True)
        first.compare()
        assert len(first.compare().fetched) == 0
        (row,) = store.reconciliations()
        assert row.complete_at is not None
    upload(archive, image(2, StudyDate=today))
    later = row.complete_at + 100 * hour
    with open_context(settings, fetches=True) as (opened_store, context):
        opened_store._clock = lambda: later
        report = context.reconciler(settings.reconcile[0], fetches=False)
        assert report.compare(complete=True, at_once=True).lacking == []
        fetching = context.reconciler(settings.reconcile[0], fetches=True)
        assert len(fetching.compare().fetched) == 1


def test_what_is_on_its_way_holds_the_window_only_where_its_age_is_not_known(
    archive, site, image, stored
):
    """A busy site always has some; after a restart the time since when one is absent is unknown."""
    settings = site(after_seconds=60)
    store = stored(settings)
    passed, began = [0.0], store.now()

    def complete_after(reconciler, seconds):
        """Return the time up to which everything is here, after a comparison at this time."""
        passed[0] = seconds
        reconciler._passed = lambda: passed[0]
        reconciler._store._clock = lambda: began + timedelta(seconds=passed[0])
        reconciler.compare()
        return (store.reconciliations()[0].complete_at - began).total_seconds()

    with open_context(settings, fetches=True) as (_, context):
        reconciler = context.reconciler(settings.reconcile[0], fetches=True)
        assert complete_after(reconciler, 0) == 0
        upload(archive, image(1))
        assert complete_after(reconciler, 10) == 10  # it arrived after the previous comparison
        assert complete_after(reconciler, 40) == 10
    with open_context(settings, fetches=True) as (_, context):
        again = context.reconciler(settings.reconcile[0], fetches=True)
        assert complete_after(again, 50) == 10
        assert complete_after(again, 111) == 111
        assert len(store.jobs()) == 1


def test_many_changes_are_looked_at_in_several_looks(archive, site, image, monkeypatch, stored):
    """A long list of changes is read in parts; it is complete after the last piece."""
    monkeypatch.setattr("service.reconcile.reconciliation._MOST_CHANGES", 1)
    monkeypatch.setattr("dicom.archives.orthanc._CHANGES", 3)
    settings = site(after_seconds=0)
    look(settings, complete=False)
    upload(archive, *(image(seed) for seed in range(1, 4)))
    store = stored(settings)
    fetched, looks = 0, 0
    while len(store.jobs()) < 3 or store.reconciliations()[0].complete_at is None:
        fetched += len(look(settings, fetches=True, complete=False).fetched)
        looks += 1
        assert looks < 20
    assert fetched == 3
    assert looks >= 3


def test_what_stays_absent_hides_nothing_that_came_later(archive, site, image, monkeypatch):
    """All later changes are examined; Instances that the archive deletes are forgotten."""
    monkeypatch.setattr("service.reconcile.reconciliation._MOST_CHANGES", 1)
    monkeypatch.setattr("dicom.archives.orthanc._CHANGES", 3)
    settings = site(after_seconds=60)
    studies = upload(archive, *(image(seed) for seed in range(1, 5)))
    passed = [0.0]
    with open_context(settings, fetches=False) as (store, context):
        reconciler = context.reconciler(settings.reconcile[0], fetches=False)
        reconciler._passed = lambda: passed[0]

        def lacking_after(looks):
            for _ in range(looks):
                passed[0] += 10
                found = reconciler.compare()
            return {each.study_instance_uid for each in found.lacking}

        assert lacking_after(30) == studies
        assert [each.missing for each in store.reconciliations()] == [4]
        missing = [each for each in store.incidents() if each.kind == "studies_missing"]
        assert len(missing) <= 4, "the same study was reported again"
        with urllib.request.urlopen(f"{archive.url}/instances", timeout=20) as answer:  # noqa: S310
            gone = json.load(answer)[0]
        request = urllib.request.Request(f"{archive.url}/instances/{gone}", method="DELETE")  # noqa: S310
        urllib.request.urlopen(request, timeout=20).close()  # noqa: S310 - loopback
        assert len(lacking_after(30)) == 3


def delete_study(server, study_uid):
    """Delete a Study from an Orthanc."""
    lookup = f"{server.url}/tools/lookup"
    request = urllib.request.Request(lookup, data=study_uid.encode())  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
        (found,) = json.load(answer)
    request = urllib.request.Request(f"{server.url}{found['Path']}", method="DELETE")  # noqa: S310
    urllib.request.urlopen(request, timeout=20).close()  # noqa: S310 - loopback


@pytest.mark.parametrize("kind", ["stow", "dimse"])
def test_studies_that_left_the_window_are_forgotten(kind, archive, site, image):
    """A process that runs for years remembers what the archive lists now, and requests no list twice."""
    settings = site(kind, after_seconds=0)
    studies = upload(archive, image(1), image(2))
    assert len(look(settings, fetches=True, complete=False).fetched) == 2
    with open_context(settings, fetches=True) as (_, context):
        reconciler = context.reconciler(settings.reconcile[0], fetches=True)
        assert [reconciler.compare().studies for _ in range(3)] == [2, 0, 0]
        assert reconciler._settled.keys() == studies
        gone = studies.pop()
        delete_study(archive, gone)
        assert reconciler.compare().studies == 0
        assert reconciler._settled.keys() == studies


def test_what_was_refused_is_reported_no_longer_than_the_window(archive, site, image):
    """It is neither kept nor listed as missing for as long as the process runs."""
    settings = site(hours=LONG)
    receiver = settings.receiver.model_copy(update={"max_object_bytes": 20_000})
    small = settings.model_copy(update={"receiver": receiver})
    studies = upload(archive, image(1))
    passed = [0.0]
    with open_context(small, fetches=True) as (_, context):
        reconciler = context.reconciler(small.reconcile[0], fetches=True)
        reconciler._passed = lambda: passed[0]
        assert [len(reconciler.compare().lacking) for _ in range(2)] == [0, 0]
        passed[0] += settings.reconcile[0].after_seconds + 1
        assert len(reconciler.compare().lacking) == 1
        delete_study(archive, studies.pop())
        assert len(reconciler.compare().lacking) == 1
        passed[0] += LONG * 3600 + 1
        assert reconciler.compare().lacking == []
        assert reconciler._refused == {}


def test_a_study_of_captures_only_lacks_no_job(archive, site, image):
    """Captures of another product begin no job: the comparison ends and states it."""
    settings = site(after_seconds=0)
    image_type = ["DERIVED", "SECONDARY", "", "AI"]
    capture = image(1, SOPClassUID=SECONDARY_CAPTURE, ImageType=image_type, Manufacturer="Other AI")
    studies = upload(archive, capture)
    with open_context(settings, fetches=False) as (store, context):
        reconciler = context.reconciler(settings.reconcile[0], fetches=False)
        first = reconciler.compare()
        assert [each.lack for each in first.lacking] == [Lack.STUDY]
        callers = CallingAEs(settings, None, load_settings)
        Intake(store, settings, lambda *_: None, callers).instance_arrived(
            describe(capture), dcmread(capture), calling_ae="ORTHANC", association_id="a"
        )
        second = reconciler.compare()
        assert (second.lacking, set(second.without_image)) == ([], studies)
        (row,) = store.reconciliations()
        assert row.missing == 0
        assert reconciler.compare().studies == 0
        image_of_it = image(1, "-image", SOPInstanceUID="2.25.71")
        upload(archive, image_of_it)
        assert [each.lack for each in reconciler.compare().lacking] == [Lack.INSTANCES]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"archive": None, "destination": "nowhere"}, "no destination is named nowhere"),
        ({"calling_ae": "STRANGER"}, "calling_ae STRANGER is not among receiver.callers"),
        ({"destination": "pacs"}, "give either `destination`"),
    ],
)
def test_a_wrong_table_is_a_fault_of_the_settings(keys, fault, site):
    """The objects that it names must exist."""
    with pytest.raises(ConfigurationError, match=fault):
        site(**keys)
