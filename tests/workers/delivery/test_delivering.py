"""Deliveries: claims, retries, and the effect of an error on a job."""

import pytest
from structlog.testing import capture_logs

from dicom.errors import DestinationRejected
from service.errors import LeaseLost
from service.jobs import DeliveryState, JobState
from service.store import Store
from tests.workers.delivery.archives import away, folder


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
    """The delays double up to the limit; the other destination is not delayed."""
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
    """After give_up_hours the delivery is FAILED and the job names the destination."""
    bench = bench_of(away(free_port()))
    job = bench.drafted()
    bench.task(job.id)
    clock.move(3601)
    bench.task(job.id)
    failed = store.job(job.id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "NOT_DELIVERED")
    assert failed.reason.startswith("B (PACS at ")


def test_drafts_that_waited_for_a_pacs_all_arrive(bench_of, clock, tmp_path, free_port):
    """After an outage of a PACS one message delivers all that it missed."""
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
    """The destination object detects it; the job fails at once, because sending again cannot help."""
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
    """A library's message may hold a patient attribute; the job shows the type only."""
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
    """Its delivery was taken back while it was sending: another worker sends and confirms."""
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
    """The job stays CANCELED, and its history states that the destination still has the results."""
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
    """`objects` selects the results of a destination; with those there the job is COMPLETED."""
    bench = bench_of(folder(tmp_path, objects=objects))
    job = bench.drafted(kinds=("draft-report", "findings", "overlay", "report-page"))
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED
    kinds = {each.sop_instance_uid: each.kind for each in store.objects(job.id)}
    assert {kinds[path.stem] for path in (tmp_path / "A").rglob("*.dcm")} == sent


def test_nothing_for_a_destination_is_reported_as_such(bench_of, store, tmp_path):
    """A job without any object of the configured kinds ends, and its history has the reason."""
    bench = bench_of(folder(tmp_path, objects=["report-pdf"]))
    job = bench.drafted()
    bench.task(job.id)
    assert bench.state(job)[0] is JobState.COMPLETED
    assert not list((tmp_path / "A").rglob("*.dcm"))
    reasons = [each.reason for each in store.events(job.id)]
    assert "A: it receives none of these results (setting `objects`)." in reasons


def test_overdue_deliveries_of_a_silent_destination_fail_together(bench_of, clock, free_port):
    """While it is silent few are tried: the others still fail at their time."""
    bench = bench_of(away(free_port(), "A"))
    jobs = [bench.drafted(f"1.{number + 1}") for number in range(6)]
    for job in jobs:
        bench.task(job.id)
    clock.move(3601)
    bench.task(jobs[0].id)
    assert {bench.state(job)[0] for job in jobs} == {JobState.FAILED}
