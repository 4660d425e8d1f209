"""Connections to PostgreSQL and Redis that go silent: kept open by a silent peer."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from sqlalchemy import make_url

from service.database.engine import make_engine
from service.errors import BrokerUnavailable, StoreUnavailable
from service.jobs import JobState
from service.queue.job_queue import Queue, ping
from service.queue.names import READ, READING
from service.records import Job
from service.settings.config import load_settings
from service.store import Store
from service.system.socket_limits import postgresql_arguments, postgresql_settings
from tests.databases import make_database
from workers.app import worker_app

URL = "postgresql+psycopg://wetread@127.0.0.1:5432/wetread"
BUSY = 1.0
# Ping, connection and settings of the session, each with its own limit.
LONGEST_CHECKOUT = 2 + 3 + 2 + 1


@pytest.fixture
def postgres_behind(postgres_server, silent_proxy):
    """A proxy before PostgreSQL, and the URL of a current database behind it."""
    url = postgres_server.new_database()
    make_database(url)
    proxy = silent_proxy(postgres_server.port)
    return proxy, url.replace(f":{postgres_server.port}/", f":{proxy.port}/")


def seconds_until_refused(ask):
    """Return how long it takes until the database is reported as unavailable."""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        ask()
    return time.monotonic() - begun


def test_a_pooled_connection_that_went_silent_is_replaced(postgres_behind):
    """The next transactions detect it within seconds and continue over new connections."""
    proxy, url = postgres_behind
    store = Store(url, busy_seconds=BUSY)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: store.ping(), range(16)))
    proxy.cut()
    begun = time.monotonic()
    store.ping()
    assert time.monotonic() - begun < LONGEST_CHECKOUT
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: store.ping(), range(16)))
    assert time.monotonic() - begun < LONGEST_CHECKOUT
    store.close()


def test_a_database_that_is_silent_is_away_until_it_answers(postgres_behind):
    """Also new connections get no answer; after the repair the next transaction succeeds."""
    proxy, url = postgres_behind
    store = Store(url, busy_seconds=BUSY)
    store.ping()
    proxy.cut(new_too=True)
    assert seconds_until_refused(store.ping) < LONGEST_CHECKOUT
    assert seconds_until_refused(store.processes) < LONGEST_CHECKOUT
    proxy.heal()
    assert store.processes() == []
    store.close()


def test_a_statement_that_gets_no_answer_ends(postgres_behind):
    """Cut within a transaction: the statement fails within its limit, and so does the transaction."""
    proxy, url = postgres_behind
    store = Store(url, busy_seconds=BUSY)

    def statement():
        with store._reading() as session:
            session.connection()
            proxy.cut()
            session.connection().exec_driver_sql("SELECT 1")

    assert seconds_until_refused(statement) < BUSY + 2 + 2
    store.ping()
    store.close()


def test_a_migration_has_no_time_limit(postgres_url):
    """A statement may take longer than any transaction of the service's own."""
    engine = make_engine(postgres_url, busy_seconds=None)
    with engine.begin() as connection:
        shown = connection.exec_driver_sql("SHOW statement_timeout").scalar()
    engine.dispose()
    assert shown == "0"


def test_the_session_is_set_so_that_commits_are_durable_and_both_ends_notice_a_cut(postgres_url):
    """The settings of the server's session, without the startup parameter that pgbouncer refuses."""
    engine = make_engine(postgres_url, busy_seconds=5.0)
    shown = {}
    with engine.begin() as connection:
        for name in ("timezone", "synchronous_commit", "lock_timeout", "statement_timeout"):
            shown[name] = connection.exec_driver_sql(f"SHOW {name}").scalar()
        shown["idle"] = connection.exec_driver_sql("SHOW tcp_keepalives_idle").scalar()
        given = connection.connection.dbapi_connection.info.get_parameters()
    engine.dispose()
    assert shown == {
        "timezone": "UTC",
        "synchronous_commit": "on",
        "lock_timeout": "5s",
        "statement_timeout": "7s",
        "idle": "5",
    }
    assert (given["tcp_user_timeout"], given["keepalives_idle"]) == ("5000", "5")
    assert "options" not in given


def test_limits_in_the_url_win():
    """A limit in database.url is kept; durability cannot be set there."""
    url = make_url(f"{URL}?connect_timeout=9&keepalives_idle=60")
    ours = postgresql_arguments(url)
    assert not {"connect_timeout", "keepalives_idle"} & set(ours)
    assert ours["tcp_user_timeout"] == 5000
    url = make_url(f"{URL}?options=-c lock_timeout=1s -csynchronous_commit=off")
    settings = postgresql_settings(url, BUSY)
    assert "lock_timeout" not in settings
    assert settings["synchronous_commit"] == "on"


def job(number):
    """A job that waits to be read."""
    from datetime import UTC, datetime  # noqa: PLC0415 - reads best where it is used

    now = datetime(2026, 3, 1, tzinfo=UTC)
    return Job(
        id=f"{number:032x}",
        study_instance_uid="1.2.3",
        calling_ae="MODALITY",
        model_name="demo",
        model_version="1",
        revision=1,
        state=JobState.SCHEDULED,
        urgent=False,
        reason_code="",
        reason="",
        created_at=now,
        updated_at=now,
        not_before=None,
        attempts=0,
        first_error="",
        last_error="",
        lease_owner="",
        lease_until=None,
        fence=0,
        supersedes=None,
        superseded_by=None,
    )


@pytest.fixture
def redis_behind(redis_server, silent_proxy):
    """A proxy before an empty Redis, and settings whose broker is behind it."""
    redis.Redis.from_url(redis_server.url).flushall()
    proxy = silent_proxy(redis_server.port)
    return proxy, load_settings(broker={"url": f"redis://127.0.0.1:{proxy.port}/0"})


@pytest.mark.serial
def test_a_sender_whose_connections_went_silent_sends_by_new_ones(redis_behind):
    """All of its pooled connections are stale at once; the message is sent nevertheless."""
    proxy, settings = redis_behind
    queue = Queue(settings)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: queue.publish(job(number)), range(8)))
    proxy.cut()
    for number in (8, 9):
        begun = time.monotonic()
        queue.publish(job(number))
        assert time.monotonic() - begun < 4
    proxy.cut()
    assert queue.queued_job_ids(READING) == {f"{number:032x}" for number in range(10)}
    queue.close()


@pytest.mark.serial
def test_a_silent_redis_costs_its_caller_few_seconds(redis_behind):
    """No new connection is answered either: publishing, listing and probing report it in time."""
    proxy, settings = redis_behind
    queue = Queue(settings)
    queue.publish(job(1))
    proxy.cut(new_too=True)
    asks = (
        lambda: queue.publish(job(2)),
        lambda: queue.queued_job_ids(READING),
        queue.ping,
        lambda: ping(settings),
    )
    for ask in asks:
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            ask()
        assert time.monotonic() - begun < 6
    proxy.heal()
    queue.publish(job(3))
    assert f"{3:032x}" in queue.queued_job_ids(READING)
    queue.close()


@pytest.fixture
def consumer(redis_behind):
    """A real worker behind the proxy, and the messages that it has read."""
    _, settings = redis_behind
    app, read = worker_app(settings), []

    def take(job_id):
        read.append(job_id)

    app.task(take, name=READ, shared=False)
    worker = app.Worker(
        pool="threads",
        concurrency=2,
        queues=[READING],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    thread = threading.Thread(target=worker.start, daemon=True)
    thread.start()
    yield read
    worker.stop()
    thread.join(30)


@pytest.mark.parametrize("seconds_cut", [0, 15])
def test_a_worker_whose_connections_went_silent_reads_on(
    redis_behind, redis_server, consumer, eventually, seconds_cut
):
    """Every connection that it had is stale; within seconds of the network's return it reads again."""
    proxy, _ = redis_behind
    queue = Queue(load_settings(broker={"url": redis_server.url}))
    for number in range(8):
        queue.publish(job(number))
    eventually(lambda: len(consumer) == 8, seconds=30, what="the first messages")
    for cut in (1, 2):
        proxy.cut(new_too=bool(seconds_cut))
        expected = {f"{10 * cut:032x}", f"{10 * cut + 1:032x}"}
        queue.publish(job(10 * cut), job(10 * cut + 1))
        time.sleep(seconds_cut)
        proxy.heal()

        def read(expected=expected):
            # What Redis handed to a connection that was cut is lost; the sweeper sends it again.
            for missing in expected - queue.queued_job_ids(READING) - set(consumer):
                queue.publish(job(int(missing, 16)))
            return expected <= set(consumer)

        eventually(read, seconds=30, what="the messages after the cut")
    queue.close()
