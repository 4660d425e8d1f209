"""Time limits of the sockets to PostgreSQL and Redis, decided here once.

A connection whose packets are dropped (firewall, NAT, failover) gives no error: without limits Linux
sends again for some 15 minutes, and an idle connection is not noticed at all. Three limits are needed,
because each sees what the others do not:

- TCP_USER_TIMEOUT: bytes that were sent are not acknowledged by the peer's kernel;
- keepalive: nothing is sent, and the peer's kernel does not answer probes;
- a limit on each answer: the peer's kernel acknowledges, and its process says nothing (a stopped
  server, or a proxy whose other side is cut).

`dicom/network/keepalive.py` has those of DICOM connections.
"""

import re
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import URL

from service.settings.config import Settings
from service.system.broker_connection import TlsConnection
from service.system.psycopg_private import CAN_LIMIT_WAITS, WaitTimeout

IDLE_SECONDS: Final = 5
PROBE_SECONDS: Final = 2
PROBES: Final = 2
# Of unacknowledged bytes. A silent peer is noticed within IDLE + PROBES * PROBE_SECONDS seconds.
UNACKNOWLEDGED_SECONDS: Final = 5

REDIS_CONNECT_SECONDS: Final = 1.0
# An end that sends is waited for by a receiver or a page; a worker has time, but not for ever.
REDIS_SENDER_SECONDS: Final = 1.0
REDIS_WORKER_SECONDS: Final = 5.0
# Celery's worker drops a connection whose blocking read is overdue by this.
REDIS_OVERDUE_SECONDS: Final = 5
# Waits between tries of a worker to connect grow up to this.
REDIS_RETRY_SECONDS: Final = 5

POSTGRESQL_CONNECT_SECONDS: Final = 3
POSTGRESQL_PING_SECONDS: Final = 2.0
# A lock that does not come free is an error of the server before it is one of the socket.
POSTGRESQL_GRACE_SECONDS: Final = 2.0
# Of receivers: their sender has an answer within 10 s even where a statement is waited for first.
POSTGRESQL_RECEIVER_SECONDS: Final = 5.0

_OPTION: Final = re.compile(r"(?:-c\s*|--)([A-Za-z_.]+)\s*=")


def redis_transport_options(answer_seconds: float) -> dict[str, Any]:
    """Return kombu's transport options for a Redis whose answers may take `answer_seconds`."""
    return {
        "socket_connect_timeout": REDIS_CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive_options(),
        "health_check_interval": REDIS_OVERDUE_SECONDS,
    }


def redis_tls_options(settings: Settings) -> dict[str, Any]:
    """Return how the certificate of Redis is judged, as redis-py and kombu name it; {} without TLS.

    Its certificate must come from an authority of `broker.tls_ca` (of the system if there is none), and
    be for its host's name.

    Raises:
        ConfigurationError: No Redis is configured.
    """
    if not settings.broker_url.startswith("rediss:"):
        return {}
    broker = settings.broker
    files = {
        "ssl_ca_certs": broker.tls_ca,
        "ssl_certfile": broker.tls_certificate,
        "ssl_keyfile": broker.tls_key,
    }
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        **{name: str(path) for name, path in files.items() if path is not None},
    }


def redis_client(settings: Settings) -> redis.Redis:
    """Return a client that is not connected; a stale connection is replaced once, without a wait.

    Raises:
        ConfigurationError: No Redis is configured.
        ValueError: The URL is none of Redis.
    """
    url = settings.broker_url
    options: dict[str, Any] = {
        "socket_connect_timeout": REDIS_CONNECT_SECONDS,
        "socket_timeout": REDIS_SENDER_SECONDS,
        "retry": Retry(NoBackoff(), 1),
    }
    if tls := redis_tls_options(settings):
        options |= tls | {"connection_class": TlsConnection}
    if not url.startswith("unix:"):
        options |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive_options()}
    client: redis.Redis = redis.Redis.from_url(url, **options)
    return client


def _keepalive_options() -> dict[int, int]:
    """Return options of level IPPROTO_TCP."""
    return {
        socket.TCP_KEEPIDLE: IDLE_SECONDS,
        socket.TCP_KEEPINTVL: PROBE_SECONDS,
        socket.TCP_KEEPCNT: PROBES,
        socket.TCP_USER_TIMEOUT: UNACKNOWLEDGED_SECONDS * 1000,
    }


def postgresql_arguments(url: URL) -> dict[str, Any]:
    """Return libpq's connection parameters that the URL does not give itself."""
    ours = {
        "connect_timeout": POSTGRESQL_CONNECT_SECONDS,
        "tcp_user_timeout": UNACKNOWLEDGED_SECONDS * 1000,
        "keepalives": 1,
        "keepalives_idle": IDLE_SECONDS,
        "keepalives_interval": PROBE_SECONDS,
        "keepalives_count": PROBES,
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def postgresql_settings(url: URL, busy_seconds: float | None) -> Mapping[str, str]:
    """Return settings of the server's session, by name.

    They are set by a statement: pgbouncer refuses the startup parameter `options`. With the limits on
    its own side the server lets go the locks of a client that was cut off.

    Args:
        url: Limits that its parameter `options` names are left as they are given there.
        busy_seconds: How long a lock is waited for; no limit when None.
    """
    limits = {
        "tcp_keepalives_idle": str(IDLE_SECONDS),
        "tcp_keepalives_interval": str(PROBE_SECONDS),
        "tcp_keepalives_count": str(PROBES),
        "tcp_user_timeout": str(UNACKNOWLEDGED_SECONDS * 1000),
    }
    if busy_seconds is not None:
        limits["lock_timeout"] = str(int(busy_seconds * 1000))
        limits["statement_timeout"] = str(int((busy_seconds + POSTGRESQL_GRACE_SECONDS) * 1000))
    given = set(_OPTION.findall(str(url.query.get("options", ""))))
    kept = {name: value for name, value in limits.items() if name not in given}
    # Whatever the server's default: an acknowledged film survives its crash.
    return {"timezone": "UTC", "synchronous_commit": "on", **kept}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits for each answer for a limited time, and is closed after that.

    Attributes:
        answer_seconds: The limit of a statement; none when None.
    """

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - psycopg's own
        """Return what the server answers.

        Raises:
            psycopg.OperationalError: It does not answer in time; the connection is closed.
        """
        if not CAN_LIMIT_WAITS:
            return super().wait(gen, interval, timeout)
        limit = self._limit if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except WaitTimeout:
            if timeout is not None:
                raise
            self.close()
            raise psycopg.OperationalError(
                f"the server gave no answer within {limit:g} s"
            ) from None

    @property
    def _limit(self) -> float | None:
        # Outside transactions there are only the pool's ping and the settings of the session.
        if self.autocommit and self.answer_seconds is not None:
            return min(POSTGRESQL_PING_SECONDS, self.answer_seconds)
        return self.answer_seconds
