import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.jobs import JobState
from service.queue.job_queue import Queue
from service.queue.names import DELIVERY, READING
from service.settings.config import as_environment, child_environment, load_settings
from service.store import Store
from tests.databases import make_database
from workers.app import _Worker


class Site:
    """A database, a Redis and a folder as the PACS; the delivery worker is a real process."""

    def __init__(self, tmp_path, redis_url, drafts):
        self.drafts = drafts
        self.overrides = {
            "data_dir": str(tmp_path / "data"),
            "broker": {"url": redis_url},
            "destinations": [{"kind": "folder", "name": "PACS", "path": str(tmp_path / "pacs")}],
            "sweep": {"interval": 0.1, "republish_seconds": 1},
        }
        self.settings = load_settings(**self.overrides)
        make_database(self.settings.database_url)
        self.store = Store.open(self.settings)
        self.queue = Queue(self.settings)
        self.processes = []

    def start(self, *arguments, **options):
        """Start `wetread ARGUMENTS`; `options` as for `Popen`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *arguments],
            cwd=self.settings.data_dir,
            env=child_environment(**as_environment(self.overrides)),
            **options,
        )
        self.processes.append(process)
        return process

    def claimed(self, number, owner):
        """Return a job of an image of its own that `owner` reads."""
        return self.drafts.claimed(self.store, f"1.2.{number}", owner)

    def drafted(self, number):
        """Return a DRAFTED job whose one object waits in the outbox."""
        return self.drafts.drafted(self.store, self.settings.outbox_dir, f"1.2.{number}", ["PACS"])

    def state(self, job):
        """Return the job's state."""
        return self.store.job(job.id).state

    def ready(self, role):
        """Return whether a process of this role reports itself ready."""
        return any(beat.role == role and beat.detail == "ready" for beat in self.store.processes())

    def close(self):
        """Stop everything."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.queue.close()
        self.store.close()


@pytest.fixture
def site(tmp_path, own_redis, drafts):
    """A site whose processes the test starts."""
    made = Site(tmp_path, own_redis.url, drafts)
    yield made
    made.close()


def test_a_delivery_worker_delivers_without_torch_and_ends_in_order(site, eventually):
    """It never loads torch, and on SIGTERM signs off and ends with status 0."""
    worker = site.start("worker", "--queues", "delivery")
    job = site.drafted(1)
    site.queue.publish(job)
    eventually(lambda: site.state(job) is JobState.COMPLETED, seconds=30, what="the delivery")
    maps = Path(f"/proc/{worker.pid}/maps").read_text()
    assert "libtorch" not in maps
    assert site.ready("delivery")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    assert site.store.processes() == []


def test_a_model_that_does_not_load_leaves_its_reason(site, tmp_path):
    """The worker ends with status 1; the reason is in the database and, as JSON, in the log."""
    site.overrides["reading"] = {"model": "cxr-llava-v2", "model_dir": str(tmp_path / "nowhere")}
    site.overrides["log"] = {"format": "json"}
    with (tmp_path / "log").open("wb") as log:
        worker = site.start("worker", "--queues", "reading", stderr=log)
        assert worker.wait(120) == 1
    (kept,) = site.store.processes()
    assert "nowhere" in kept.load_failure
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    (line,) = (line for line in lines if line["event"] == "model_not_loaded")
    assert (line["model"], line["reason"]) == ("cxr-llava-v2", kept.load_failure)
    assert line["timestamp"]
    assert lines[-1]["event"] == "ended_by_error"


def test_a_killed_redis_delays_and_loses_nothing(site, own_redis, eventually):
    """With kill -9 on Redis between drafts, all are delivered after its restart."""
    site.start("worker", "--queues", "delivery")
    site.start("sweep")
    eventually(lambda: site.ready("delivery"), seconds=30, what="the worker")
    jobs = [site.drafted(number) for number in range(3)]
    site.queue.publish(jobs[0])
    eventually(lambda: site.state(jobs[0]) is JobState.COMPLETED, seconds=30, what="the first")
    own_redis.kill()
    jobs.append(site.drafted(7))
    own_redis.start()
    eventually(
        lambda: all(site.state(job) is JobState.COMPLETED for job in jobs),
        seconds=60,
        what="the other deliveries",
    )
    assert not site.queue.queued_job_ids(DELIVERY)


def test_a_killed_worker_costs_one_lease(site, eventually):
    """After kill -9 in the middle of a delivery another worker delivers it."""
    site.overrides["delivery"] = {"lease_seconds": 2}
    job = site.drafted(1)
    delivery, _ = site.store.claim_delivery(job.id, "a worker that was killed", 2, {})
    site.start("sweep")
    site.start("worker", "--queues", "delivery")
    eventually(lambda: site.state(job) is JobState.COMPLETED, seconds=30, what="the delivery")
    (after,) = site.store.deliveries(job.id)
    assert (after.id, after.fence) == (delivery.id, 2)


def test_a_stopped_worker_gives_back_what_it_still_holds(site, monkeypatch):
    """Of three jobs in hand the first was canceled meanwhile: the others still go back."""
    worker = _Worker(site.settings, READING)
    jobs = [site.claimed(number, worker._owner) for number in range(3)]
    held = worker._store.held_by(worker._owner)
    site.store.cancel(held[0].id, "admin")
    monkeypatch.setattr(worker._store, "held_by", lambda _: held)
    worker._release()
    worker._store.close()
    states = [site.state(job) for job in held]
    assert {job.id for job in held} == {job.id for job in jobs}
    assert states == [JobState.CANCELED, JobState.SCHEDULED, JobState.SCHEDULED]


HANGUP_WHILE_HANDLERS_ARE_SET = """
import os, signal, sys
import celery.apps.worker as worker
from celery.worker import state
from service.settings.config import load_settings
from service.queue.celery_private import process_class
from workers.app import worker_app

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as the supervisor starts it
others = worker.install_worker_term_handler

def install_others(each):
    os.kill(os.getpid(), signal.SIGHUP)
    others(each)

worker.install_worker_term_handler = install_others
reloads = []
app = worker_app(load_settings(broker={"url": "redis://127.0.0.1:1/0"}))
process = process_class(app, lambda: reloads.append(1))(pool="solo", hostname="w@h", quiet=True)
process.install_platform_tweaks(process)
os.kill(os.getpid(), signal.SIGHUP)
print(state.should_stop, len(reloads))
sys.stdout.flush()
os._exit(0)
"""


def test_a_hangup_while_handlers_are_set_does_not_restart_the_program():
    """Celery's own handler, which runs the program again as a script, is at no time in force."""
    command = [sys.executable, "-c", HANGUP_WHILE_HANDLERS_ARE_SET]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    assert done.stdout.split("\n")[0] == "None 1", done.stdout + done.stderr
