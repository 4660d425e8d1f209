"""A worker whose acknowledgments failed takes messages again once Redis answers."""

import contextlib
import os
import signal

import pytest
from kombu import Consumer, Producer, Queue
from redis.exceptions import RedisError

from service.settings.config import load_settings
from service.system.broker_connection import Transport
from workers.app import worker_app

MESSAGES = 3


@contextlib.contextmanager
def silent(server):
    """Make the server stop answering for the length of the block."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("end", ["ack", "reject"])
def test_a_worker_that_is_full_while_redis_is_silent_takes_messages_after_it(own_redis, end):
    """The worker holds its maximum of messages, and none of them can be acknowledged."""
    app = worker_app(load_settings(broker={"url": own_redis.url}))
    received = []
    with app.connection_for_read() as connection:
        assert isinstance(connection.transport, Transport)
        channel = connection.channel()
        queue = Queue("cut", channel=channel)
        consumer = Consumer(channel, [queue], callbacks=[lambda _, each: received.append(each)])
        consumer.qos(prefetch_count=2)
        with app.connection_for_write() as sender:
            producer = Producer(sender, routing_key="cut")
            for number in range(MESSAGES):
                producer.publish({"number": number}, declare=[queue])
        with consumer:
            for _ in range(2):
                connection.drain_events(timeout=10)
            with silent(own_redis):
                for each in received:
                    with pytest.raises((RedisError, OSError)):
                        getattr(each, end)()
            assert channel.qos.can_consume()
            while len(received) < MESSAGES:
                connection.drain_events(timeout=10)
    assert [each.payload["number"] for each in received] == list(range(MESSAGES))
