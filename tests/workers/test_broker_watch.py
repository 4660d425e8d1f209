"""A worker that receives nothing although messages lie in its queue."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest
import redis

from dicom.study import Instance
from service.errors import BrokerUnavailable
from service.queue.job_queue import Queue
from service.records import ProcessStatus, StatusReport
from service.settings.config import as_environment, load_settings
from service.store import Store
from service.system.supervisor import REPLACE_ME
from service.web.metrics import StoreCollector
from service.web.readiness import Readiness
from tests.databases import make_database
from workers.broker_watch import READY, SILENT_SECONDS, BrokerWatch


class Watched:
    """A watch over figures that a test sets, and what it reported."""

    def __init__(self):
        self.now, self.waiting, self.is_full = 0.0, 0, False
        self.reports, self.replaced = [], []
        self.watch = BrokerWatch(
            self._count,
            lambda: self.is_full,
            self.reports.append,
            self.replaced.append,
            clock=lambda: self.now,
        )

    def _count(self):
        if self.waiting is None:
            raise BrokerUnavailable("Redis does not answer: timed out")
        return self.waiting

    def for_seconds(self, seconds):
        """Let it check every five seconds for this time."""
        for _ in range(int(seconds // 5)):
            self.now += 5
            self.watch.look()


@pytest.fixture
def watched():
    """A watch at the time 0."""
    return Watched()


def test_messages_that_do_not_arrive_have_the_worker_replaced(watched):
    """Not before the limit, and with the reason on the page."""
    watched.waiting = 3
    watched.for_seconds(SILENT_SECONDS - 5)
    assert not watched.replaced
    watched.for_seconds(5)
    assert watched.replaced == ["3 messages have waited for 30 s while a thread was free"]
    assert watched.reports[-1].status is ProcessStatus.CUT_OFF


@pytest.mark.parametrize("why", ["nothing waits", "all threads work", "messages arrive"])
def test_a_worker_that_has_work_or_none_stays(watched, why):
    """Silence is no fault where nothing is to be received."""
    watched.waiting, watched.is_full = (0 if why == "nothing waits" else 3), why.startswith("all")
    for _ in range(30):
        watched.for_seconds(5)
        if why == "messages arrive":
            watched.watch.received()
    assert not watched.replaced
    assert watched.reports == []


def test_a_broker_that_is_away_replaces_no_worker(watched):
    """The page states that the worker is disconnected, and that it is ready again."""
    watched.waiting = None
    watched.for_seconds(300)
    assert not watched.replaced
    assert watched.reports == [
        StatusReport("", ProcessStatus.CUT_OFF, "Redis does not answer: timed out")
    ]
    watched.waiting = 0
    watched.for_seconds(5)
    assert watched.reports[-1] == READY


@pytest.fixture
def site(tmp_path, redis_server, silent_proxy):
    """A site whose worker reaches Redis through a proxy: settings, store, proxy, the worker's."""
    redis.Redis.from_url(redis_server.url).flushall()
    proxy = silent_proxy(redis_server.port)
    common = {
        "data_dir": str(tmp_path / "data"),
        "destinations": [{"kind": "folder", "name": "out", "path": str(tmp_path / "out")}],
    }
    (tmp_path / "data" / "spool").mkdir(parents=True)
    settings = load_settings(**common, broker={"url": redis_server.url})
    make_database(settings.database_url)
    store = Store.open(settings)
    overrides = {**common, "broker": {"url": f"redis://127.0.0.1:{proxy.port}/0"}}
    log = (tmp_path / "log").open("wb")
    worker = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "worker", "--queues", "delivery"],
        env={**os.environ, **as_environment(overrides)},
        stdout=log,
        stderr=log,
    )
    yield settings, store, proxy, worker, tmp_path / "log"
    if worker.poll() is None:
        worker.send_signal(signal.SIGKILL)
    worker.wait()
    store.close()


def metric(store, settings, name):
    """Return the value of one metric."""
    families = {each.name: each for each in StoreCollector(store, settings).collect()}
    return families[name].samples[0].value


def test_a_worker_without_an_answer_reports_it_on_page_readyz_and_metrics(site, eventually):
    """Its own connection to Redis is cut while the page's is not; it is ready again after healing."""
    settings, store, proxy, worker, log = site
    eventually(lambda: "worker_ready" in log.read_text(), seconds=60, what="the worker")

    def broker_part():
        report = asyncio.run(Readiness(store, settings).report())
        return next(each.fault for each in report.parts if each.name == "broker")

    assert broker_part() == ""
    assert metric(store, settings, "wetread_workers_cut_off") == 0
    proxy.cut(new_too=True)
    status = ProcessStatus.CUT_OFF.text
    eventually(lambda: status in broker_part(), seconds=30, what="the word on /readyz")
    assert metric(store, settings, "wetread_workers_cut_off") == 1
    assert metric(store, settings, "wetread_broker_up") == 1
    proxy.heal()
    eventually(lambda: broker_part() == "", seconds=30, what="the end of it")
    assert worker.poll() is None


@pytest.mark.slow
def test_a_worker_whose_queue_is_never_answered_ends_to_be_replaced(site, eventually):
    """Each connection that waits for messages goes silent; others work: exit status 75, an incident."""
    settings, store, proxy, worker, log = site
    proxy.silent_after = b"BRPOP"
    eventually(lambda: "worker_ready" in log.read_text(), seconds=60, what="the worker")
    image = Instance(
        sop_instance_uid="1.2.3.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.2.3.2",
        study_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=settings.spool_dir / "image.dcm",
        digest="a" * 64,
        size=1,
    )
    store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
    job = store.schedule("1.2.3", model="tiny", version="1", actor="t", reason="Released.")
    queue = Queue(settings)
    deadline = time.monotonic() + 120
    while worker.poll() is None and time.monotonic() < deadline:
        # What Redis has handed to a connection that went silent is published again by the sweeper.
        if not queue.waiting("delivery"):
            queue._app.send_task("wetread.deliver", args=[job.id], queue="delivery", priority=9)
        time.sleep(0.5)
    queue.close()
    assert worker.poll() == REPLACE_ME
    (incident,) = [each for each in store.incidents(10) if each.kind == "broker_silent"]
    assert "while a thread was free" in incident.detail
    assert "worker_must_be_replaced" in log.read_text()
