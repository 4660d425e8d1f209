"""An outage of the database longer than a lease: whether the attempt counts."""

import os
import socket
import time

import pytest

from dicom.study import Instance
from service.errors import StoreUnavailable
from service.jobs import JobState
from service.monitoring.heartbeat import Heartbeat
from service.settings.config import load_settings
from service.store import Store
from service.sweeper.sweeper import Sweeper
from tests.databases import make_database

STUDY = "1.2.3"
WORKER = f"reading@{socket.gethostname()}:{os.getpid()}"
OWNER = f"{WORKER}:a1b2c3"


def claimed(store, tmp_path, seconds):
    """Return a job that a worker of this process has claimed."""
    image = Instance(
        sop_instance_uid=f"{STUDY}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"{STUDY}.2",
        study_instance_uid=STUDY,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=tmp_path / "image.dcm",
        digest="a" * 64,
        size=1,
    )
    store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
    job = store.schedule(STUDY, model="tiny", version="1", actor="t", reason="Released.")
    return store.claim_reading(job.id, OWNER, seconds)


@pytest.fixture
def sweeper(store, tmp_path):
    """A sweeper that publishes nowhere; leases of a minute."""
    return Sweeper(store, load_settings(data_dir=tmp_path), lambda _: None)


def beat(store, started_at, name=WORKER):
    """Have the worker report itself now."""
    store.beat(name, "reading", host="h", pid=1, started_at=started_at)


def test_a_worker_that_outlived_the_database_loses_no_attempt(sweeper, store, clock, tmp_path):
    """Its lease could not be extended; as soon as it reports itself again its job goes back."""
    begun = clock()
    job = claimed(store, tmp_path, 60)
    sweeper.tick()
    clock.move(90)
    sweeper.tick()
    assert store.job(job.id).state is JobState.IN_PROGRESS
    clock.move(4)
    beat(store, begun)
    sweeper.tick()
    after = store.job(job.id)
    assert (after.state, after.attempts) == (JobState.SCHEDULED, 0)
    assert after.reason == "The database was unavailable for longer than its worker's lease."
    assert store.claim_reading(job.id, "other", 60).fence == 2


@pytest.mark.parametrize("reports", ["no worker", "another", "its successor"])
def test_a_worker_that_died_meanwhile_loses_one(sweeper, store, clock, tmp_path, reports):
    """A process without a heartbeat within 15 s of the database's return counts as dead."""
    begun = clock()
    job = claimed(store, tmp_path, 60)
    sweeper.tick()
    clock.move(90)
    sweeper.tick()
    if reports == "another":
        beat(store, begun, "reading@h:2")
    elif reports == "its successor":
        beat(store, clock())
    for _ in range(15):
        assert store.job(job.id).state is JobState.IN_PROGRESS
        clock.move(1)
        sweeper.tick()
    after = store.job(job.id)
    assert (after.state, after.attempts) == (JobState.SCHEDULED, 1)
    assert after.reason == f"Its worker {OWNER} was lost."


def test_a_lease_that_ended_without_an_outage_counts(sweeper, store, clock, tmp_path):
    """The attempt counts if its process reports itself without extending the lease."""
    begun = clock()
    job = claimed(store, tmp_path, 60)
    for _ in range(61):
        sweeper.tick()
        clock.move(1)
        beat(store, begun)
    sweeper.tick()
    after = store.job(job.id)
    assert (after.state, after.attempts) == (JobState.SCHEDULED, 1)


def test_postgresql_away_for_longer_than_a_lease(
    postgres_server_class, postgres_folder, tmp_path, eventually
):
    """Stopped and started again, with a process that reports itself all the time: nothing counted."""
    with postgres_server_class(postgres_folder) as server:
        url = server.new_database()
        make_database(url)
        store = Store(url, busy_seconds=2)
        settings = load_settings(data_dir=tmp_path, reading={"lease_seconds": 3})
        sweeper = Sweeper(store, settings, lambda _: None)
        with Heartbeat(store, ["reading"]).beating():
            job = claimed(store, tmp_path, 3)
            sweeper.tick()
            server.stop()
            for _ in range(3):
                with pytest.raises(StoreUnavailable):
                    sweeper.tick()
                time.sleep(1.2)
            server.start()

            def is_back():
                sweeper.tick()
                return store.job(job.id).state is JobState.SCHEDULED

            eventually(is_back, seconds=30, what="the job")
        assert store.job(job.id).attempts == 0
        store.close()
