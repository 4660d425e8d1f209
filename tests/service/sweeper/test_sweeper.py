"""Quiet studies, lost workers and messages, and the process of the sweeper."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import event

from dicom.study import Instance
from service.database.engine import WRITING
from service.jobs import DeliveryState, JobState
from service.monitoring.background import failing
from service.monitoring.heartbeat import Heartbeat
from service.queue.job_queue import Queue
from service.queue.names import READING
from service.records import ProcessStatus, StatusReport
from service.settings.config import as_environment, child_environment, load_settings
from service.store import Store
from service.sweeper.outages import LeaseVerdict
from service.sweeper.sweeper import Sweeper, SweepLoop
from tests.databases import make_database
from tests.service.sweeper.studies import (
    STUDY,
    come,
    come_and_end,
    drafted,
    old,
    schedule,
    sweep_for,
)


def test_an_idle_tick_writes_nothing(sweeper, store, clock):
    """Nor do the looks of the threads: each would take the lock that receivers wait for."""
    sweeper.tick()  # the first does also what is due each minute
    clock.move(1)
    seen = set()

    def note(_connection, _cursor, statement, *_):
        seen.add(statement if statement == WRITING else statement.split(maxsplit=1)[0])

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        sweeper.tick()
        assert not store.is_report_due()
    finally:
        event.remove(store._engine, "before_cursor_execute", note)
    assert seen - {"BEGIN"} == {"SELECT"}


def test_a_quiet_study_becomes_a_job_once(sweeper, store, clock, arrive, post):
    """After the quiet time there is one published job, for any number of ticks."""
    arrive()
    sweeper.tick()
    assert post.take() == []
    clock.move(2.1)
    sweeper.tick()
    sweeper.tick()
    (job,) = store.jobs()
    assert post.take() == [(job.id, JobState.SCHEDULED)]
    assert store.events(job.id)[0].actor == "sweeper"


def test_a_quiet_study_is_read_and_sent_as_its_caller_has_it(store, clock, arrive, post, tmp_path):
    """As the receiver does it at the release: the sender of the last image decides."""
    settings = load_settings(
        data_dir=tmp_path / "data",
        models=[{"name": "second", "model": "tiny", "model_version": "7"}],
        destinations=[
            {"kind": "folder", "name": name, "path": str(tmp_path / name)} for name in ("A", "B")
        ],
        receiver={"callers": [{"ae_title": "MODALITY", "model": "second", "destinations": ["B"]}]},
    )
    arrive()
    clock.move(2.1)
    Sweeper(store, settings, post).tick()
    (job,) = store.jobs()
    assert (job.model_name, job.model_version) == ("second", "7")
    assert (job.calling_ae, job.destinations) == ("MODALITY", ("B",))


def test_a_lost_worker_costs_one_lease(sweeper, store, clock, arrive, post):
    """The job goes back, is published at once, and the next worker claims it."""
    arrive()
    job = schedule(store)
    store.claim_reading(job.id, "reader", 60)
    clock.move(59)
    sweeper.tick()
    assert store.job(job.id).state is JobState.IN_PROGRESS
    clock.move(2)
    sweeper.tick()
    back = store.job(job.id)
    assert (back.state, back.reason_code) == (JobState.SCHEDULED, "LEASE_EXPIRED")
    assert post.take() == [(job.id, JobState.SCHEDULED)]
    assert store.claim_reading(job.id, "other", 60).fence == 2


def test_a_job_that_kills_its_workers_fails(sweeper, store, clock, arrive):
    """After max_attempts lost workers it is FAILED with that reason, not tried for ever."""
    arrive()
    job = schedule(store)
    for _ in range(2):
        store.claim_reading(job.id, "reader", 60)
        sweep_for(61, sweeper, clock)
    failed = store.job(job.id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "WORKER_LOST")
    assert "lost 2 times" in failed.reason


def test_a_lost_deliverer_costs_one_lease(sweeper, store, settings, clock, arrive, post):
    """The delivery is due again and its job published."""
    arrive()
    job = drafted(store, settings, schedule(store))
    store.claim_delivery(job.id, "sender", 60, {})
    clock.move(61)
    sweeper.tick()
    assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.PENDING]
    assert post.take() == [(job.id, JobState.DRAFTED)]


def test_a_lost_message_is_sent_again(sweeper, store, clock, arrive, post):
    """A job that waits longer than republish_seconds without a message is published again."""
    arrive()
    job = schedule(store)
    clock.move(14)
    sweeper.tick()
    assert post.take() == []
    clock.move(2)
    sweeper.tick()
    sweeper.tick()
    assert post.take() == [(job.id, JobState.SCHEDULED)]


def test_a_message_in_sight_is_not_doubled(store, clock, arrive, redis_server, tmp_path):
    """While the queue is long, waiting jobs are not published over and over; after its loss they are."""
    here = {"data_dir": tmp_path, "broker": {"url": redis_server.url}}
    configured = load_settings(**here, reading={"model": "tiny"})
    queue = Queue(configured)
    queue._client.flushall()
    sweeper = Sweeper(store, configured, queue.publish, queue.queued_job_ids)
    arrive()
    queue.publish(schedule(store))
    for _ in range(5):
        clock.move(16)
        sweeper.tick()
    assert queue._client.llen(f"{READING}\x06\x169") == 1
    queue._client.flushall()
    clock.move(16)
    sweeper.tick()
    assert len(queue.queued_job_ids(READING)) == 1
    queue.close()


def test_while_redis_is_away_everything_waits_and_then_goes(sweeper, store, clock, arrive, post):
    """Jobs made without a broker are published at the first tick after its return."""
    post.away = True
    for number in range(3):
        arrive(study=f"1.{number + 1}")
    clock.move(3)
    sweeper.tick()
    sweeper.tick()
    assert store.counts()[JobState.SCHEDULED] == 3
    post.away = False
    sweeper.tick()
    assert sorted(post.take()) == sorted((job.id, job.state) for job in store.jobs())
    sweeper.tick()
    assert post.take() == []


def test_several_sweepers_are_harmless(database_url, settings, clock, post):
    """Three simultaneous sweepers make one job of a study and take a job back once."""
    stores = [Store(database_url, clock=clock) for _ in range(3)]
    sweepers = [Sweeper(each, settings, post) for each in stores]
    image = Instance(
        sop_instance_uid="1.1",
        sop_class_uid="1.2",
        series_instance_uid="1.3",
        study_instance_uid=STUDY,
        transfer_syntax_uid="1.4",
        path=Path("/spool/x"),
        digest="a" * 64,
        size=1,
    )
    stores[0].add_instance(image, calling_ae="M", association_id="A", eligible=True)
    clock.move(3)
    for sweeper in sweepers:
        sweeper.tick()
    (job,) = stores[0].jobs()
    stores[0].claim_reading(job.id, "reader", 60)
    clock.move(61)
    lapsed = [(sweeper, sweeper._store.lapsed(clock.now)) for sweeper in sweepers]
    for sweeper, jobs in lapsed:
        for each in jobs:
            with contextlib.suppress(Exception):
                sweeper._take_back_one(each, LeaseVerdict.LOST, clock.now)
    assert [event.action for event in stores[0].events(job.id)] == [
        "schedule",
        "claim",
        "hand_back",
    ]


def test_a_spool_that_cannot_be_used_ends_no_sweeper(sweeper, store, settings, clock, arrive, post):
    """It states it, once, does what needs no disk, and removes what is old when the spool is back."""
    job, path = old(store, settings, arrive)
    reports = []
    loop = SweepLoop(sweeper, reports.append)
    away = settings.spool_dir.rename(settings.data_dir / "away")
    settings.spool_dir.write_bytes(b"no folder")
    clock.move(31 * 86400)
    for _ in range(3):
        loop.run_once()
        clock.move(61)
    assert reports == [StatusReport("", ProcessStatus.HINDERED, "File exists")]
    settings.spool_dir.unlink()
    away.rename(settings.spool_dir)
    arrive(study="1.9")
    clock.move(61)
    loop.run_once()
    assert reports[1:] == [StatusReport()]
    assert not path.exists()
    assert store.job(job.id).removed_at == clock.now
    assert post.take() != []


def test_two_sweeper_processes_are_harmless(tmp_path, redis_server, eventually):
    """Hundreds of ticks on one SQLite: jobs once, leases back once, old files removed, no fault."""
    overrides = {
        "data_dir": str(tmp_path),
        "broker": {"url": redis_server.url},
        "sweep": {"interval": 0.02, "retention_days": 0.5 / 86400, "republish_seconds": 0.5},
    }
    settings = load_settings(**overrides)
    make_database(settings.database_url)
    store = Store.open(settings)
    old_jobs = [come_and_end(store, settings, f"1.1.{number + 1}") for number in range(20)]
    time.sleep(0.6)  # they are old now
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "service.cli", "sweep"],
            cwd=tmp_path,
            env=child_environment(**as_environment(overrides)),
        )
        for _ in range(2)
    ]
    try:
        for number in range(20):
            come(store, settings, f"1.2.{number + 1}")
        eventually(
            lambda: sum(job.state is JobState.SCHEDULED for job in store.jobs(limit=100)) == 20,
            seconds=40,
            what="twenty jobs",
        )
        eventually(
            lambda: all(store.job(job.id).removed_at for job in old_jobs),
            seconds=20,
            what="retention",
        )
        lost = [job for job in store.jobs(limit=100) if job.state is JobState.SCHEDULED]
        for job in lost:
            store.claim_reading(job.id, "a reader that was killed", 0.2)
        eventually(
            lambda: all(store.job(job.id).state is JobState.SCHEDULED for job in lost),
            seconds=20,
            what="the leases",
        )
        time.sleep(2.5)  # more than a hundred ticks with due work
        assert [process.poll() for process in processes] == [None, None]
        for job in lost:
            actions = [event.action for event in store.events(job.id)]
            assert actions == ["schedule", "claim", "hand_back"]
        for job in old_jobs:
            actions = [event.action for event in store.events(job.id)]
            assert actions.count("remove_files") == 1
            assert store.spooled(job.study_instance_uid) == []
        assert store.incidents() == []
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(20) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        store.close()


def test_a_model_without_a_worker_is_an_incident_once(sweeper, store, clock, arrive):
    """Another model's worker does not count; the end of its own is reported again."""
    arrive()
    job = schedule(store)

    def look(*roles):
        clock.move(61)
        for role in roles:
            store.beat(role, role, host="h", pid=1, started_at=clock.now)
        sweeper.tick()
        found = [each for each in store.incidents() if each.kind == "no_worker"]
        return [each.subject for each in found]

    sweeper.tick()
    assert store.incidents() == []  # it waits for a moment only
    assert look("reading.second") == [job.model_name]
    assert look("reading.second") == [job.model_name]
    assert look("reading") == [job.model_name]
    store.sign_off("reading")
    assert look("reading.second") == [job.model_name] * 2


def test_instances_are_counted_for_their_calling_ae(sweeper, store, clock, arrive):
    """Within two minutes; the figures of the page are the same before and after."""
    arrive()
    before = store.calling_aes()
    sweep_for(121, sweeper, clock)
    assert store.count_arrivals() == 0
    (counted,) = store.calling_aes()
    assert [counted] == before
    assert (counted.instances, counted.studies) == (1, 1)


def test_a_silent_process_is_an_incident(sweeper, store, clock):
    """A process that stopped reporting itself without signing off is forgotten, and that is reported."""
    store.beat("reading@h:1", "reading", host="h", pid=1, started_at=clock())
    clock.move(61)
    sweeper.tick()
    assert store.processes() == []
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == ("process_silent", "reading@h:1")


def test_what_a_clock_that_was_ahead_put_off_goes_on_once_it_is_right(
    sweeper, store, settings, clock, arrive, post
):
    """With times an hour ahead (image, handed-back job, lost worker, failed delivery) nothing waits."""
    studies = ["1.1", "1.2", "1.3", "1.4"]
    clock.move(3600)
    for study in studies:
        arrive(study=study)
    back, held, sent = (schedule(store, study) for study in studies[1:])
    store.hand_back(back.id, store.claim_reading(back.id, "r", 60).fence, "OS_ERROR", "Full.", 60)
    store.claim_reading(held.id, "r", 60)
    drafted(store, settings, sent)
    delivery, _ = store.claim_delivery(sent.id, "s", 60, {})
    store.postpone_delivery(delivery.id, delivery.fence, "It is away.", 60)
    sweeper.tick()
    clock.move(-3600)
    sweeper.tick()
    sweeper.tick()
    taken = {(store.job(job_id).study_instance_uid, state) for job_id, state in post.take()}
    assert taken == {
        ("1.1", JobState.SCHEDULED),
        ("1.2", JobState.SCHEDULED),
        ("1.4", JobState.DRAFTED),
    }
    sweep_for(121, sweeper, clock)
    assert store.job(held.id).state is JobState.SCHEDULED


def test_what_is_put_off_by_the_right_clock_stays_put_off(sweeper, store, clock, arrive, post):
    """A job that is to wait a minute does so, for any number of ticks."""
    arrive()
    job = schedule(store)
    store.hand_back(job.id, store.claim_reading(job.id, "r", 60).fence, "OS_ERROR", "Full.", 60)
    sweeper.tick()
    clock.move(59)
    sweeper.tick()
    assert post.take() == []
    clock.move(2)
    sweeper.tick()
    assert post.take() == [(job.id, JobState.SCHEDULED)]


def test_the_process_sweeps_and_ends_in_order(tmp_path, redis_server, arrive_in, eventually):
    """`wetread sweep` schedules a quiet study, reports itself, and on SIGTERM signs off and ends."""
    overrides = {"data_dir": str(tmp_path), "broker": {"url": redis_server.url}}
    settings = load_settings(**overrides)
    store = arrive_in(settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "sweep"],
        cwd=tmp_path,
        env=child_environment(**as_environment(overrides)),
    )
    try:
        eventually(store.jobs, seconds=20, what="a job")
        assert [beat.role for beat in store.processes()] == ["sweep"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert store.processes() == []
    finally:
        process.kill()
        store.close()


@pytest.fixture
def arrive_in():
    """A function that opens the store of settings and lets one image arrive there."""

    def open_and_add(settings):
        make_database(settings.database_url)
        store = Store.open(settings)
        image = Instance(
            sop_instance_uid="1.1",
            sop_class_uid="1.2",
            series_instance_uid="1.3",
            study_instance_uid=STUDY,
            transfer_syntax_uid="1.4",
            path=settings.spool_dir / "x",
            digest="a" * 64,
            size=1,
        )
        store.add_instance(
            image, calling_ae="M", association_id="A", eligible=True, quiet_seconds=0.5
        )
        return store

    return open_and_add


def test_a_step_that_fails_keeps_no_other_from_being_done(store, settings, post, clock, arrive):
    """A bug triggered by one study is reported; other studies become jobs, and jobs are published."""
    arrive(1, study="1.5.1")
    arrive(1, study="1.5.2")
    clock.move(60)

    def callers(_sender):
        # A bug triggered by one study: its sender is read first.
        if not asked:
            asked.append(1)
            raise TypeError("bug")

    asked = []
    sweeper = Sweeper(store, settings, post, callers=callers)
    sweeper.tick()
    assert len(store.jobs()) == 1
    assert sweeper.failing == ["schedule studies"]
    with Heartbeat(store, ["sweep"]).beating():
        (beat,) = store.processes()
        assert (beat.status, beat.reason) == (ProcessStatus.FAILING, "schedule studies")
    sweeper.tick()
    assert len(store.jobs()) == 2
    assert (sweeper.failing, failing()) == ([], "")
