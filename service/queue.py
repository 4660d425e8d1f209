"""Job ids to Redis, for whoever works on them: two queues, urgent first, no waiting for a broker.

A message is a hint. The database is the truth: a message that is lost is sent again by the sweeper,
one that comes twice finds nothing to claim. So nothing here retries, and a Redis that does not answer
costs its caller a second at most.
"""

from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.config import Settings
from service.errors import BrokerUnavailable
from service.jobs import JobState
from service.messages import PRIORITIES, ROUTINE, URGENT, job_in, list_of, message
from service.queue_names import DELIVER, DELIVERY, READ, queue_of
from service.records import Job

_SOCKET_SECONDS: Final = 1.0
_HEAD: Final = 5000


class Queue:
    """The sending end; safe to share among threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _client(settings)

    def publish(self, *jobs: Job) -> None:
        """Tell workers of jobs, all in one go: of each to read it, or to deliver what was made for it.

        Raises:
            BrokerUnavailable: Redis did not take the messages, or not all of them.
        """
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for job in jobs:
                    pipe.lpush(*self._place_and_message(job))
                pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis did not take a message: {_words(error)}") from error

    def _place_and_message(self, job: Job) -> tuple[str, bytes]:
        """Return the list that the message for a job goes to, and the message."""
        made = job.state in (JobState.DRAFTED, JobState.NOT_ANALYSED)
        waits = queue_of(self._settings, job.model_name)
        task, queue = (DELIVER, DELIVERY) if made else (READ, waits)
        priority = URGENT if job.urgent else ROUTINE
        return list_of(queue, priority), message(task, job.id, queue=queue, priority=priority)

    def in_sight(self, queue: str) -> frozenset[str]:
        """Return the ids of jobs for which a message lies in `queue`, of its first thousands.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for priority in PRIORITIES:
                    pipe.lrange(list_of(queue, priority), -_HEAD, -1)
                lists = pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {_words(error)}") from error
        # What is not one of ours the worker will refuse.
        found = {job_in(each) for messages in lists for each in messages}
        return frozenset(job_id for job_id in found if job_id is not None)

    def ping(self) -> None:
        """Return when Redis answers.

        Raises:
            BrokerUnavailable: It does not.
        """
        try:
            self._client.ping()
        except (redis.RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis does not answer: {_words(error)}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def ping(settings: Settings) -> str:
    """Return a word on the broker that answers.

    Raises:
        BrokerUnavailable: It does not answer.
        ConfigurationError: None is configured.
    """
    client = _client(settings)
    try:
        return f"Redis {client.info('server')['redis_version']}"
    except (redis.RedisError, OSError) as error:
        raise BrokerUnavailable(f"Redis does not answer: {_words(error)}") from error
    finally:
        client.close()


def _client(settings: Settings) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(
        settings.broker_url,
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
    )
    return client


def _words(error: Exception) -> str:
    """Return the error's first line without the password that a Redis URL may hold."""
    return (str(error).splitlines() or [type(error).__name__])[0].rpartition("@")[2]
