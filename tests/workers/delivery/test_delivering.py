import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from structlog.testing import capture_logs

from dicom.errors import DestinationRejected
from dicom.scu.store_scu import FIND_MODEL
from service.errors import LeaseLost
from service.jobs import DeliveryState, JobState
from service.store import Store
from workers.delivery.delivering import MAX_UNLISTED_ATTEMPTS, MOST_SENDS


def folder(tmp_path, name="A", **other):
    """A folder destination."""
    return {"kind": "folder", "name": name, "path": str(tmp_path / name), **other}


def away(port, name="B"):
    """A PACS that nobody runs."""
    return {
        "kind": "dimse",
        "name": name,
        "host": "127.0.0.1",
        "port": port,
        "ae_title": "PACS",
        "timeout": 2,
    }


def test_a_delivered_job_is_completed(bench_of, store, tmp_path):
    """The file lies at the destination, read back, and the job is COMPLETED."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    bench.task(job.id)
    assert bench.state(job) == (JobState.COMPLETED, {"A": DeliveryState.CONFIRMED})
    (sent,) = [path for path in (tmp_path / "A").rglob("*") if path.is_file()]
    assert sent.read_bytes() == store.objects(job.id)[0].path.read_bytes()


def test_a_message_that_comes_twice_sends_once(bench_of, store, tmp_path):
    """The second finds nothing to claim."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    bench.task(job.id)
    before = store.events(job.id)
    bench.task(job.id)
    assert store.events(job.id) == before


def test_a_pacs_that_is_away_waits_longer_each_time(bench_of, store, clock, tmp_path, free_port):
    """The delays double up to the limit; the other destination is not held up."""
    bench = bench_of(away(free_port()), folder(tmp_path))
    job = bench.drafted()
    delays = []
    for _ in range(4):
        bench.task(job.id)
        waiting = next(each for each in store.deliveries(job.id) if each.destination == "B")
        delays.append((waiting.not_before - clock()).total_seconds())
        clock.now = waiting.not_before
    assert delays == [2, 4, 8, 10]
    assert waiting.attempts == 4
    assert waiting.first_error
    assert bench.state(job) == (
        JobState.DRAFTED,
        {"A": DeliveryState.CONFIRMED, "B": DeliveryState.PENDING},
    )


def test_a_pacs_away_for_too_long_fails_the_job(bench_of, store, clock, free_port):
    """After give_up_hours the delivery is FAILED and the job says which destination it was."""
    bench = bench_of(away(free_port()))
    job = bench.drafted()
    bench.task(job.id)
    clock.move(3601)
    bench.task(job.id)
    failed = store.job(job.id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "NOT_DELIVERED")
    assert failed.reason.startswith("B: ")


def test_drafts_that_waited_for_a_pacs_all_arrive(bench_of, clock, tmp_path, free_port):
    """What a PACS missed while it was away is delivered by one message once it is back."""
    port = free_port()
    gone = bench_of(away(port, "A"))
    jobs = [gone.drafted(f"1.{number + 1}") for number in range(5)]
    for job in jobs:
        gone.task(job.id)
    clock.move(60)
    back = bench_of(folder(tmp_path))
    back.task(jobs[0].id)
    assert {back.state(job)[0] for job in jobs} == {JobState.COMPLETED}


def test_a_result_that_was_changed_on_disk_is_not_sent(bench_of, store, tmp_path):
    """The destination object notices; the job fails at once, because sending again cannot help."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    store.objects(job.id)[0].path.write_bytes(b"something else")
    bench.task(job.id)
    failed = store.job(job.id)
    assert failed.state is JobState.FAILED
    assert failed.attempts == 1
    assert not list((tmp_path / "A").rglob("*.dcm"))


def test_a_destination_that_was_taken_out_of_the_settings_fails(bench_of, store, tmp_path):
    """A delivery to a name that is no longer configured does not wait for ever."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted(names=["A", "OLD"])
    bench.task(job.id)
    failed = store.job(job.id)
    assert failed.state is JobState.FAILED
    assert "OLD: this destination is no longer configured" in failed.reason


def test_an_unforeseen_error_fails_with_its_type_only(bench_of, store, tmp_path):
    """What a library says may hold a patient attribute; the job shows the type."""
    bench = bench_of(folder(tmp_path))

    class Broken:
        name = "A"
        reads_back = True

        def send(self, objects):
            raise ZeroDivisionError(f"DOE^JOHN {len(objects)}")

    bench.delivering._destinations = {"A": Broken()}
    job = bench.drafted()
    bench.task(job.id)
    failed = store.job(job.id)
    assert "ZeroDivisionError" in failed.reason
    assert "DOE" not in str(failed) + str(store.deliveries(job.id)) + str(store.events(job.id))


def test_a_sender_that_lost_its_lease_confirms_nothing(bench_of, store, clock, tmp_path):
    """Its delivery was taken back while it was sending: another one sends and confirms."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    claim = bench.delivering.claim(job.id)
    store.take_back_deliveries(clock.move(121))
    with pytest.raises(Exception, match="no longer holds it") as caught:
        bench.delivering.work(claim)
    bench.delivering.give_back(claim, caught.value)
    assert bench.state(job)[1] == {"A": DeliveryState.PENDING}
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED


def test_a_worker_that_stops_begins_nothing(bench_of, tmp_path):
    """After the stop signal a message that still comes claims nothing."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    bench.stop.set()
    bench.task(job.id)
    assert bench.state(job)[1] == {"A": DeliveryState.PENDING}


def test_a_database_that_is_away_ends_the_message_quietly(bench_of, tmp_path, free_port):
    """Without a database there is nothing to claim; the sweeper sends the message again."""
    url = f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none"
    bench = bench_of(folder(tmp_path), on=Store(url, busy_seconds=1))
    with capture_logs() as logs:
        bench.task("0" * 32)
    assert "claim_failed" in [entry["event"] for entry in logs]
    assert not (tmp_path / "A").exists()


def test_a_rejection_is_final(bench_of, store, tmp_path):
    """DestinationRejected fails at the first attempt."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    claim = bench.delivering.claim(job.id)
    bench.delivering.give_back(claim, DestinationRejected("It said no."))
    assert store.job(job.id).reason == "A: It said no."


def test_an_outbox_that_is_away_fails_no_job(bench_of, store, clock, tmp_path):
    """Without the disk every result would count as gone; with it again the job is delivered."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    elsewhere = tmp_path / "unmounted"
    bench.settings.outbox_dir.rename(elsewhere)
    bench.task(job.id)
    assert bench.state(job) == (JobState.DRAFTED, {"A": DeliveryState.PENDING})
    assert "mount data_dir" in store.deliveries(job.id)[0].last_error
    elsewhere.rename(bench.settings.outbox_dir)
    clock.move(60)
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED


def test_a_cancel_during_the_delivery_is_reported_with_what_arrived(bench_of, store, tmp_path):
    """The job stays CANCELED, and its history says that the destination has the results all the same."""
    bench = bench_of(folder(tmp_path))
    job = bench.drafted()
    claim = bench.delivering.claim(job.id)
    store.cancel(job.id, "Ann")
    with pytest.raises(LeaseLost) as caught:
        bench.delivering.work(claim)
    bench.delivering.give_back(claim, caught.value)
    assert bench.state(job) == (JobState.CANCELED, {"A": DeliveryState.CANCELED})
    last = store.events(job.id)[-1]
    assert (last.action, last.reason) == (
        "deliver_canceled",
        "A: the objects were being sent, and have arrived.",
    )


# Of `SENDS_AFTER`: those that come one after another.
FIRST_SENDS = 3


class Pacs:
    """A PACS on a free port that answers each C-STORE as a test says, and C-FIND by what it holds."""

    def __init__(self, answer, classes, listed):
        self.answer, self.listed = answer, listed
        self.holds, self.stores = set(), []
        self.loses = False
        entity = AE(ae_title="PACS")
        for each in classes:
            entity.add_supported_context(each, ExplicitVRLittleEndian)
        entity.add_supported_context(FIND_MODEL, ImplicitVRLittleEndian)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def _store(self, event):
        uid = event.request.AffectedSOPInstanceUID
        self.stores.append(str(event.request.AffectedSOPClassUID))
        status = self.answer(self, uid)
        if status == 0 and not self.loses:
            self.holds.add(uid)
        return status

    def _find(self, event):
        uid = event.identifier.SOPInstanceUID
        if uid in self.holds and self.listed(self):
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", uid
            yield 0xFF00, answer

    def settings(self, **other):
        """Return it as a destination."""
        port = self.server.server_address[1]
        values = {"kind": "dimse", "name": "A", "host": "127.0.0.1", "port": port}
        return values | {"ae_title": "PACS", "timeout": 5} | other


SR, SC = str(BasicTextSRStorage), str(SecondaryCaptureImageStorage)


@pytest.fixture
def pacs_of():
    """A function that starts a PACS: its answer to a store, its SOP classes, whether it lists."""
    started = []

    def start(answer=lambda _pacs, _uid: 0, classes=(SR, SC), listed=lambda _pacs: True):
        started.append(Pacs(answer, classes, listed))
        return started[-1]

    yield start
    for pacs in started:
        pacs.server.shutdown()


def again(bench, clock, job, times=1):
    """Work on the job's next tries, each when it is due."""
    for _ in range(times):
        clock.move(61)
        bench.task(job.id)


@pytest.mark.parametrize("status", [0x0110, 0x0111, 0x0122, 0xA900, 0xC000, 0xC001])
def test_a_pacs_that_takes_nothing_twice_and_lists_late(bench_of, clock, pacs_of, status):
    """It refuses a duplicate, with whatever status: what it lists counts as delivered."""
    seen = []

    def late(_pacs):
        seen.append(1)
        return len(seen) > 1

    def once(pacs, uid):
        return status if uid in pacs.holds else 0

    pacs = pacs_of(once, listed=late)
    bench = bench_of(pacs.settings())
    job = bench.drafted()
    bench.task(job.id)
    assert bench.state(job) == (JobState.DRAFTED, {"A": DeliveryState.PENDING})
    again(bench, clock, job)
    assert bench.state(job) == (JobState.COMPLETED, {"A": DeliveryState.CONFIRMED})
    assert len(pacs.stores) == 1, "a later try sent without looking first"


@pytest.mark.parametrize("status", [0x0110, 0xC000])
def test_a_duplicate_that_a_sender_without_memory_sends_is_delivered(bench_of, pacs_of, status):
    """The first try of this job is refused, because an earlier sender had stored the objects."""
    pacs = pacs_of(lambda pacs, uid: status if uid in pacs.holds else 0)
    bench = bench_of(pacs.settings())
    job = bench.drafted()
    pacs.holds |= {each.sop_instance_uid for each in bench.store.objects(job.id)}
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED
    assert len(pacs.stores) == 1


def test_a_refusal_of_what_is_not_there_stays_a_refusal(bench_of, store, pacs_of):
    """0xC000 without the object in the PACS: FAILED, with the status."""
    bench = bench_of(pacs_of(lambda _pacs, _uid: 0xC000).settings())
    job = bench.drafted()
    bench.task(job.id)
    assert store.job(job.id).state is JobState.FAILED
    assert "0xC000" in store.job(job.id).reason


def test_an_archive_that_gives_new_uids_is_not_flooded(bench_of, store, clock, pacs_of):
    """It acknowledges and never lists: sent a few times, mostly looked for, then FAILED and reported."""
    pacs = pacs_of(listed=lambda _pacs: False)
    bench = bench_of(pacs.settings(), give_up_hours=72)
    job = bench.drafted()
    bench.task(job.id)
    again(bench, clock, job, times=4)
    assert len(pacs.stores) == FIRST_SENDS
    (waiting,) = store.deliveries(job.id)
    assert waiting.state is DeliveryState.PENDING
    assert "acknowledged the results 3 times" in waiting.last_error
    assert "changes SOP Instance UIDs" in waiting.last_error
    again(bench, clock, job, times=MAX_UNLISTED_ATTEMPTS)
    assert len(pacs.stores) == MOST_SENDS
    assert store.job(job.id).state is JobState.FAILED
    assert "changes SOP Instance UIDs" in store.job(job.id).reason
    # Corrected there, a retry sends again.
    store.retry(job.id, "Ann")
    pacs.listed = lambda _pacs: True
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED
    assert len(pacs.stores) == MOST_SENDS + 1


def test_an_archive_that_lists_after_many_looks_is_confirmed(bench_of, clock, pacs_of):
    """What it lists at last is delivered, without another copy."""
    pacs = pacs_of(listed=lambda _pacs: False)
    bench = bench_of(pacs.settings())
    job = bench.drafted()
    bench.task(job.id)
    again(bench, clock, job, times=9)
    pacs.listed = lambda _pacs: True
    again(bench, clock, job)
    assert bench.state(job)[0] is JobState.COMPLETED
    assert len(pacs.stores) == FIRST_SENDS


def test_an_archive_that_lost_what_it_acknowledged_gets_it_again_by_itself(
    bench_of, clock, pacs_of
):
    """It drops objects for some minutes; once it keeps them, nobody has to ask for another send."""
    pacs = pacs_of()
    pacs.loses = True
    bench = bench_of(pacs.settings())
    job = bench.drafted()
    bench.task(job.id)
    again(bench, clock, job, times=6)
    assert len(pacs.stores) == FIRST_SENDS
    pacs.loses = False
    again(bench, clock, job, times=3)
    assert bench.state(job)[0] is JobState.DRAFTED, "it was sent too early"
    again(bench, clock, job)
    assert bench.state(job)[0] is JobState.COMPLETED
    assert len(pacs.stores) == FIRST_SENDS + 1


def test_what_a_pacs_cannot_take_does_not_keep_the_rest(bench_of, store, pacs_of):
    """A PACS for pictures only: it gets the pictures, and the reason names the report."""
    pacs = pacs_of(classes=(SC,))
    bench = bench_of(pacs.settings())
    job = bench.drafted(kinds=("draft-report", "overlay", "report-page"))
    bench.task(job.id)
    assert pacs.stores == [SC, SC]
    failed = store.job(job.id)
    assert failed.state is JobState.FAILED
    assert "draft-report.dcm" in failed.reason
    assert "Basic Text SR" in failed.reason
    assert "The other 2 of 3 objects are there, read back" in failed.reason


def test_a_pacs_that_aborts_at_one_object_gets_the_others(bench_of, store, pacs_of):
    """It ends the association instead of answering: the others come over another one."""

    def choosy(pacs, _uid):
        if pacs.stores[-1] == SR:
            pacs.server.active_associations[0].abort()
            return 0xC000
        return 0

    pacs = pacs_of(choosy)
    bench = bench_of(pacs.settings())
    job = bench.drafted(kinds=("draft-report", "overlay", "report-page"))
    bench.task(job.id)
    assert pacs.stores == [SR, SC, SC]
    assert bench.state(job)[1] == {"A": DeliveryState.PENDING}
    assert "ended the association" in store.deliveries(job.id)[0].last_error


@pytest.mark.parametrize(
    ("objects", "sent"),
    [
        (["images"], {"overlay", "report-page"}),
        (["overlay"], {"overlay"}),
        (["report", "findings"], {"draft-report", "findings"}),
        (None, {"draft-report", "findings", "overlay", "report-page"}),
    ],
)
def test_a_destination_gets_the_kinds_that_are_configured(bench_of, store, tmp_path, objects, sent):
    """`objects` says which results a destination gets; with those there the job is COMPLETED."""
    bench = bench_of(folder(tmp_path, objects=objects))
    job = bench.drafted(kinds=("draft-report", "findings", "overlay", "report-page"))
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED
    kinds = {each.sop_instance_uid: each.kind for each in store.objects(job.id)}
    assert {kinds[path.stem] for path in (tmp_path / "A").rglob("*.dcm")} == sent


def test_nothing_for_a_destination_is_reported_as_such(bench_of, store, tmp_path):
    """A job without any object of the configured kinds ends, and its history says why."""
    bench = bench_of(folder(tmp_path, objects=["report-pdf"]))
    job = bench.drafted()
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED
    assert not list((tmp_path / "A").rglob("*.dcm"))
    reasons = [each.reason for each in store.events(job.id)]
    assert "A: it receives none of these results (setting `objects`)." in reasons


def test_a_pacs_without_verify_is_never_reported_as_read_back(bench_of, store, pacs_of):
    """Event, reason and record say acknowledged; nothing says that anything was read back."""
    bench = bench_of(pacs_of(listed=lambda _pacs: False).settings(verify=False))
    job = bench.drafted()
    bench.task(job.id)
    done = store.job(job.id)
    assert (done.state, done.reason) == (JobState.COMPLETED, "Acknowledged by A, not read back.")
    assert store.deliveries(job.id)[0].read_back is False
    told = [each.reason for each in store.events(job.id)]
    assert "A: every object was acknowledged; not read back." in told


def test_overdue_deliveries_of_a_silent_destination_fail_together(bench_of, clock, free_port):
    """While it is silent few are tried: the others fail at their time all the same."""
    bench = bench_of(away(free_port(), "A"))
    jobs = [bench.drafted(f"1.{number + 1}") for number in range(6)]
    for job in jobs:
        bench.task(job.id)
    clock.move(3601)
    bench.task(jobs[0].id)
    assert {bench.state(job)[0] for job in jobs} == {JobState.FAILED}


NEW_UIDS = """
function OnStoredInstance(id, tags, metadata, origin)
  if not metadata['ModifiedFrom'] then
    ModifyInstance(id, {InstitutionName='HOSPITAL'}, {}, false)
    Delete(id)
  end
end
"""


@pytest.fixture(scope="module")
def coercing(tmp_path_factory, orthanc_server_class):
    """An Orthanc that gives each object that it gets another SOP Instance UID."""
    folder = tmp_path_factory.mktemp("coercing")
    script = folder / "new-uids.lua"
    script.write_text(NEW_UIDS)

    class Coercing(orthanc_server_class):
        def configuration(self):
            return {**super().configuration(), "LuaScripts": [str(script)]}

    server = Coercing(folder / "server")
    server.start()
    yield server
    server.stop()


def test_an_orthanc_that_changes_uids_gets_few_copies(bench_of, clock, coercing):
    """A copy for each of the first tries, and the reason says what the archive does."""
    address = {"host": "127.0.0.1", "port": coercing.dicom_port, "ae_title": "ORTHANC"}
    bench = bench_of({"kind": "dimse", "name": "A", "timeout": 10, **address})
    job = bench.drafted(f"1.2.{time.time_ns()}", kinds=("overlay",))

    def copies():
        asked = {"Level": "Instance", "Query": {"StudyInstanceUID": job.study_instance_uid}}
        return len(httpx.post(f"{coercing.url}/tools/find", json=asked, timeout=10).json())

    bench.task(job.id)
    again(bench, clock, job, times=6)
    (waiting,) = bench.store.deliveries(job.id)
    assert waiting.state is DeliveryState.PENDING
    assert "changes SOP Instance UIDs" in waiting.last_error
    assert copies() <= FIRST_SENDS


class Forgetful(BaseHTTPRequestHandler):
    """Takes each upload, of Orthanc's API and of STOW-RS, and has nothing of it."""

    uploads: ClassVar[list[str]] = []

    def do_POST(self):
        """Acknowledge an upload; find nothing."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("lookup"):
            return self._answer(200, b"[]")
        self.uploads.append(self.path)
        return self._answer(200, b'{"ID": "x", "Status": "Success"}')

    def do_GET(self):
        """Have nothing."""
        self._answer(404, b"")

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.mark.parametrize("kind", ["orthanc", "stow"])
def test_a_web_archive_that_changes_uids_gets_few_copies(bench_of, clock, kind):
    """By REST and by DICOMweb: few uploads, looks in between, then FAILED with the reason."""
    Forgetful.uploads.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    bench = bench_of(
        {"kind": kind, "name": "A", "timeout": 5, "url": url},
        give_up_hours=72,
        retry_max_seconds=60,
    )
    job = bench.drafted()
    bench.task(job.id)
    again(bench, clock, job, times=5)
    (waiting,) = bench.store.deliveries(job.id)
    assert waiting.state is DeliveryState.PENDING
    assert "changes SOP Instance UIDs" in waiting.last_error
    again(bench, clock, job, times=MAX_UNLISTED_ATTEMPTS)
    server.shutdown()
    server.server_close()
    assert len(Forgetful.uploads) == MOST_SENDS
    assert bench.state(job)[0] is JobState.FAILED
