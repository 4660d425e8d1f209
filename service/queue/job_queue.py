"""Publishes job ids to the workers through Redis: reading and delivery queues, urgent jobs first.

A message is a hint, and the database decides: the sweeper publishes a lost message again, and a message
that comes twice finds nothing to claim. So publishing does not wait for Redis longer than a few
seconds; it is repeated once, with a new connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import redis
from celery import Celery
from kombu.exceptions import KombuError
from kombu.messaging import Producer

from service.errors import BrokerUnavailable
from service.jobs import JobState
from service.log import get_logger
from service.queue.kombu_private import (
    LIBRARY,
    ROUTINE,
    TRANSPORT_OPTIONS,
    URGENT,
    batch,
    count_by_kombu,
    job_ids,
    lists_of,
)
from service.queue.names import ANSWER, DELIVER, DELIVERY, READ, READING, queue_of
from service.queue.redis_errors import redis_reason
from service.records import Job
from service.settings.config import Settings
from service.system.broker_connection import TRANSPORT
from service.system.socket_limits import (
    REDIS_SENDER_SECONDS,
    redis_client,
    redis_tls_options,
    redis_transport_options,
)

_HEAD: Final = 5000  # messages of one priority that `queued_job_ids` reads: the next ones
_FAILURES: Final = (KombuError, redis.RedisError, OSError)

log = get_logger(__name__)


def celery_app(settings: Settings) -> Celery:
    """Return a Celery application, not connected, with the settings that producers and workers share.

    Raises:
        ConfigurationError: No Redis is configured, and no private one is running.
    """
    app = Celery("wetread", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        broker_transport=TRANSPORT if LIBRARY.is_tested else "redis",
        # Without these options Celery would not verify the certificate of Redis.
        broker_use_ssl=redis_tls_options(settings) or None,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_eager_result=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        enable_utc=True,
        task_create_missing_queues=True,
        task_default_queue=READING,
        broker_transport_options={
            **TRANSPORT_OPTIONS,
            **redis_transport_options(REDIS_SENDER_SECONDS),
        },
    )
    return app


class Queue:
    """Publishes jobs and looks into the queues; threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = celery_app(settings)
        # Receivers and pages wait for `publish`, so kombu must not try again by itself.
        self._app.conf.broker_transport_options |= {"max_retries": 0}
        self._app.conf.broker_pool_limit = 8
        self._client = redis_client(settings)

    def publish(self, *jobs: Job) -> None:
        """Publish jobs together: a job is to be read, or its results are to be delivered.

        Raises:
            BrokerUnavailable: Redis did not take all of the messages.
        """
        self._publish([self._message(job) for job in jobs])

    def publish_question(self, question_id: str, model: str) -> None:
        """Publish a question to the model's workers, before all jobs that are not urgent.

        Raises:
            BrokerUnavailable: Redis did not take the message.
        """
        self._publish([_Message(question_id, ANSWER, queue_of(self._settings, model), URGENT)])

    def _publish(self, messages: Sequence["_Message"]) -> None:
        try:
            with self._app.producer_pool.acquire() as producer:
                self._send_all(producer, messages)
        except _FAILURES as first:
            # A pooled connection may have been lost long ago: repeat once with a new one.
            log.info("broker_connection_replaced", reason=redis_reason(first))
            try:
                with self._app.connection_for_write() as fresh:
                    self._send_all(self._app.amqp.Producer(fresh, auto_declare=False), messages)
            except _FAILURES as error:
                raise BrokerUnavailable(
                    f"Redis did not accept a message: {redis_reason(error)}"
                ) from error

    def _send_all(self, producer: Producer, messages: Sequence["_Message"]) -> None:
        with batch(producer):
            for message in messages:
                self._send(producer, message)

    def _message(self, job: Job) -> "_Message":
        # Every state after the reading means delivery: even of an ended job a notice may be due.
        made = job.state not in (JobState.SCHEDULED, JobState.IN_PROGRESS)
        waits = queue_of(self._settings, job.model_name)
        task, queue = (DELIVER, DELIVERY) if made else (READ, waits)
        return _Message(job.id, task, queue, URGENT if job.urgent else ROUTINE)

    def _send(self, producer: Producer, message: "_Message") -> None:
        self._app.send_task(
            message.task,
            args=[message.id],
            # Unused; otherwise Celery makes them, at an eighth of the cost of a message.
            argsrepr="",
            kwargsrepr="",
            queue=message.queue,
            priority=message.priority,
            retry=False,
            ignore_result=True,
            producer=producer,
        )

    def queued_job_ids(self, queue: str) -> frozenset[str]:
        """Return the ids of jobs with a message in `queue`, from the next 5,000 of each priority.

        Empty with a version of kombu that was not tried.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        if not LIBRARY.is_tested:
            return frozenset()
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for name in lists_of(queue):
                    pipe.lrange(name, -_HEAD, -1)
                lists = pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {redis_reason(error)}") from error
        return frozenset(job_ids(message for messages in lists for message in messages))

    def waiting(self, queue: str) -> int:
        """Return the number of messages in `queue`.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        try:
            if not LIBRARY.is_tested:
                return count_by_kombu(self._app, queue)
            with self._client.pipeline(transaction=False) as pipe:
                for name in lists_of(queue):
                    pipe.llen(name)
                return sum(pipe.execute())
        except _FAILURES as error:
            raise BrokerUnavailable(f"Redis does not answer: {redis_reason(error)}") from error

    def ping(self) -> None:
        """Check that Redis answers.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        try:
            self._client.ping()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {redis_reason(error)}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._app.close()


@dataclass(frozen=True, slots=True)
class _Message:
    """A message to the workers: the id of a job or a question, and nothing else of it."""

    id: str
    task: str
    queue: str
    priority: int


def ping(settings: Settings) -> str:
    """Return the name and version of the broker, "Redis 7.2.4".

    Raises:
        BrokerUnavailable: Redis does not answer.
        ConfigurationError: No Redis is configured.
    """
    client = redis_client(settings)
    try:
        return f"Redis {client.info('server')['redis_version']}"
    except (redis.RedisError, OSError) as error:
        raise BrokerUnavailable(f"Redis does not answer: {redis_reason(error)}") from error
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory use of Redis.

    Attributes:
        used: Bytes in use.
        limit: `maxmemory` in bytes; 0 for no limit.
        policy: `maxmemory-policy`: what Redis does at the limit.
    """

    used: int
    limit: int
    policy: str


def memory(settings: Settings) -> Memory:
    """Return the memory use, limit and policy of Redis.

    Raises:
        BrokerUnavailable: Redis does not answer.
        ConfigurationError: No Redis is configured.
    """
    client = redis_client(settings)
    try:
        reported = client.info("memory")
    except (redis.RedisError, OSError) as error:
        raise BrokerUnavailable(f"Redis does not answer: {redis_reason(error)}") from error
    finally:
        client.close()
    return Memory(reported["used_memory"], reported["maxmemory"], str(reported["maxmemory_policy"]))
