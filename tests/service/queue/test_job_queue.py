import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis
from celery.contrib.testing.worker import start_worker

from service.errors import BrokerUnavailable
from service.jobs import JobState
from service.queue.job_queue import Queue, ping
from service.queue.names import DELIVER, DELIVERY, READ, READING, reading_queues
from service.records import Job
from service.settings.config import load_settings
from service.settings.keys.reading import Model
from workers.app import worker_app

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def job(number, *, urgent=False, state=JobState.SCHEDULED):
    """A job as the store returns it."""
    return Job(
        id=f"{number:032x}",
        study_instance_uid="1.2.3",
        calling_ae="MODALITY",
        model_name="demo",
        model_version="1",
        revision=1,
        state=state,
        urgent=urgent,
        reason_code="",
        reason="",
        created_at=NOW,
        updated_at=NOW,
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


def settings_for(url):
    """Settings whose broker is at `url`."""
    return load_settings(broker={"url": url})


@pytest.fixture
def settings(redis_server):
    """Settings with an empty real Redis."""
    redis.Redis.from_url(redis_server.url).flushall()
    return settings_for(redis_server.url)


@pytest.fixture
def queue(settings):
    """The sending end."""
    opened = Queue(settings)
    yield opened
    opened.close()


def consume(settings, names, count):
    """Run a real worker of one thread until it got `count` messages; return them as (task, job id)."""
    app, got, enough = worker_app(settings), [], threading.Event()

    def take(task, job_id):
        got.append((task, job_id))
        if len(got) >= count:
            enough.set()

    def read(job_id):
        take(READ, job_id)

    def deliver(job_id):
        take(DELIVER, job_id)

    app.task(read, name=READ, shared=False)
    app.task(deliver, name=DELIVER, shared=False)
    with start_worker(
        app, pool="threads", concurrency=1, queues=names, perform_ping_check=False, loglevel="error"
    ):
        assert enough.wait(20)
    return got


def test_urgent_overtakes_what_already_waits(queue, settings):
    """A worker gets the urgent job first, then the others in the order in which they were sent."""
    for number in range(1, 5):
        queue.publish(job(number))
    queue.publish(job(9, urgent=True))
    got = [int(job_id, 16) for _, job_id in consume(settings, [READING], 5)]
    assert got == [9, 1, 2, 3, 4]


def test_a_drafted_job_goes_to_the_deliverers(queue, settings):
    """SCHEDULED is read, the rest delivered, each on its own queue; the message holds the id only."""
    queue.publish(job(1))
    queue.publish(job(2, state=JobState.DRAFTED))
    queue.publish(job(3, state=JobState.COMPLETED))  # the notice that its draft is in doubt
    assert queue.queued_job_ids(READING) == {job(1).id}
    assert queue.queued_job_ids(DELIVERY) == {job(2).id, job(3).id}
    delivered = [(DELIVER, job(2).id), (DELIVER, job(3).id)]
    assert consume(settings, [DELIVERY], 2) == delivered
    assert consume(settings, [READING], 1) == [(READ, job(1).id)]
    assert not queue.queued_job_ids(READING) | queue.queued_job_ids(DELIVERY)


def test_what_is_in_sight_includes_urgent_messages(queue):
    """Both priorities are read; foreign messages in the list are skipped."""
    queue.publish(job(1))
    queue.publish(job(2, urgent=True))
    queue._client.lpush(READING, b"not json", b'{"body": "AAAA"}')
    assert queue.queued_job_ids(READING) == {job(1).id, job(2).id}


def test_nothing_of_the_study_is_in_the_broker(queue):
    """The message names the job, no study, and nothing in it leads to the patient."""
    queue.publish(job(1))
    stored = b"".join(
        queue._client.lrange(key, 0, -1)[0]
        for key in queue._client.scan_iter()
        if queue._client.type(key) == b"list"
    )
    assert b"1.2.3" not in stored


@pytest.mark.serial
def test_a_redis_that_is_away_costs_little(free_port):
    """Publishing, listing and probing raise BrokerUnavailable, without the retries of the libraries."""
    settings = settings_for(f"redis://:secret@127.0.0.1:{free_port()}/0")
    queue = Queue(settings)
    for ask in (lambda: queue.publish(job(1)), lambda: queue.queued_job_ids(READING), queue.ping):
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable) as caught:
            ask()
        assert time.monotonic() - begun < 5
        assert "secret" not in str(caught.value)
    with pytest.raises(BrokerUnavailable):
        ping(settings)


@pytest.mark.serial
def test_a_redis_that_hangs_costs_a_second_or_two():
    """A server that accepts connections and never answers does not block the sender."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        queue = Queue(settings_for(f"redis://127.0.0.1:{listener.getsockname()[1]}/0"))
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            queue.publish(job(1))
        assert time.monotonic() - begun < 5


def test_a_redis_that_comes_back_is_used_again(own_redis):
    """After kill -9 and a restart the same sender works without being created again."""
    queue = Queue(settings_for(own_redis.url))
    queue.publish(job(1))
    own_redis.kill()
    with pytest.raises(BrokerUnavailable):
        queue.publish(job(2))
    own_redis.start()
    queue.publish(job(3))
    assert queue.queued_job_ids(READING) == {job(3).id}


def test_ping_names_the_server(settings):
    """The answer is a text for the table of `wetread check`."""
    assert ping(settings).startswith("Redis ")


def test_each_model_has_a_queue_of_its_own(settings):
    """A job of a further or no longer configured model is not given to another model."""
    both = settings.model_copy(update={"models": (Model(name="second", model="tiny"),)})
    assert reading_queues(both) == {"demo": "reading", "second": "reading.second"}
    assert both.for_model("second").model_name == "second"
    queue = Queue(both)
    waiting = {"reading": "demo", "reading.second": "second", "reading.gone": "gone"}
    for number, (where, model) in enumerate(waiting.items()):
        queue.publish(replace(job(number), model_name=model))
        assert queue.queued_job_ids(where) == {f"{number:032x}"}
    queue.close()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("127.0.0.1:1", "nothing listens at 127.0.0.1:1: start Redis there, or correct broker.url"),
        ("no-such-host.invalid:6379", "the host name in no-such-host.invalid:6379 is not known"),
    ],
)
def test_a_redis_that_cannot_be_reached_is_named(host, message):
    """Address and what to do, without the library's phrase and without the password."""
    settings = load_settings(broker={"url": f"redis://:hunter2@{host}/0"})
    with pytest.raises(BrokerUnavailable) as caught:
        ping(settings)
    assert message in str(caught.value)
    assert "Error" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_password_of_redis_is_named(redis_server):
    """The setting that holds it is named, the password is not."""
    url = redis_server.url.replace("redis://", "redis://somebody:hunter2@")
    with pytest.raises(BrokerUnavailable, match=r"check both in broker\.url") as caught:
        ping(load_settings(broker={"url": url}))
    assert "hunter2" not in str(caught.value)


def test_a_missing_tls_file_of_redis_is_no_missing_redis(redis_server, tmp_path):
    """The library reports "No such file or directory" and an address; the setting is wrong."""
    url = redis_server.url.replace("redis://", "rediss://")
    broker = {"url": url, "tls_ca": str(tmp_path / "nowhere.pem")}
    with pytest.raises(BrokerUnavailable, match=r"a file of broker\.tls_ca, tls_certificate or"):
        ping(load_settings(broker=broker))


def test_a_server_that_is_no_redis_is_named():
    """It ends the connection: address and setting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def end_each() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=end_each, daemon=True).start()
        with pytest.raises(BrokerUnavailable) as caught:
            ping(load_settings(broker={"url": f"redis://127.0.0.1:{port}"}))
    assert "correct broker.url if that is not a Redis server" in str(caught.value)
