"""Archives that refuse duplicates, list late, lose objects or change their UIDs."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx
import pytest

from service.jobs import DeliveryState, JobState
from tests.workers.delivery.archives import FIRST_SENDS, SC, SR, Pacs, again
from workers.delivery.delivering import MAX_UNLISTED_ATTEMPTS, MOST_SENDS


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


@pytest.mark.parametrize("status", [0x0110, 0x0111, 0x0122, 0xA900, 0xC000, 0xC001])
def test_a_pacs_that_takes_nothing_twice_and_lists_late(bench_of, clock, pacs_of, status):
    """It refuses a duplicate with any status: an object that it lists counts as delivered."""
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
    """It acknowledges and never lists: sent a few times, mostly queried, then FAILED and reported."""
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
    """An object that it finally lists is delivered, without another copy."""
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
    """It drops objects for some minutes; once it keeps them, no manual repeat is needed."""
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


def test_a_pacs_without_verify_is_never_reported_as_read_back(bench_of, store, pacs_of):
    """Event, reason and record say acknowledged; none states that an object was read back."""
    bench = bench_of(pacs_of(listed=lambda _pacs: False).settings(verify=False))
    job = bench.drafted()
    bench.task(job.id)
    done = store.job(job.id)
    assert (done.state, done.reason) == (JobState.COMPLETED, "Acknowledged by A, not read back.")
    assert store.deliveries(job.id)[0].read_back is False
    reasons = [each.reason for each in store.events(job.id)]
    assert "A: every object was acknowledged; not read back." in reasons


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
    """A copy for each of the first tries, and the reason states the behavior of the archive."""
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
    """Acknowledges each upload, of Orthanc's API and of STOW-RS, and stores nothing."""

    uploads: ClassVar[list[str]] = []

    def do_POST(self):
        """Acknowledge an upload; find nothing."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("lookup"):
            return self._answer(200, b"[]")
        self.uploads.append(self.path)
        return self._answer(200, b'{"ID": "x", "Status": "Success"}')

    def do_GET(self):
        """Find nothing."""
        self._answer(404, b"")

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Log nothing."""


@pytest.mark.parametrize("kind", ["orthanc", "stow"])
def test_a_web_archive_that_changes_uids_gets_few_copies(bench_of, clock, kind):
    """By REST and by DICOMweb: few uploads, queries in between, then FAILED with the reason."""
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
