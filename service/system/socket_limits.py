"""Timeouts of the sockets to PostgreSQL and Redis.

A connection whose packets are dropped (firewall, NAT, failover) reports no error: by default Linux
retransmits for some 15 minutes, and never notices a lost idle connection. Three limits are needed, as
each detects another fault:

- TCP_USER_TIMEOUT: the peer's kernel does not acknowledge sent bytes;
- keepalive: nothing is sent, and the peer's kernel does not answer probes;
- a limit on each answer: the peer's kernel acknowledges, but its process does not answer (a stopped
  server, or a proxy whose other side is cut off).

`dicom/network/keepalive.py` has the timeouts of DICOM connections.
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
# For sent bytes. A silent idle peer is noticed within IDLE_SECONDS + PROBES * PROBE_SECONDS.
UNACKNOWLEDGED_SECONDS: Final = 5

REDIS_CONNECT_SECONDS: Final = 1.0
# A receiver or a page waits while a job is published; a worker can wait longer.
REDIS_SENDER_SECONDS: Final = 1.0
REDIS_WORKER_SECONDS: Final = 5.0
# Celery's worker drops a connection whose blocking read is overdue by this many seconds.
REDIS_OVERDUE_SECONDS: Final = 5
# The longest wait between a worker's attempts to connect.
REDIS_RETRY_SECONDS: Final = 5

POSTGRESQL_CONNECT_SECONDS: Final = 3
POSTGRESQL_PING_SECONDS: Final = 2.0
# Added to the lock timeout, so that the server reports a held lock before the socket times out.
POSTGRESQL_GRACE_SECONDS: Final = 2.0
# For receivers: a sender gets its answer within 10 s even if it first waits for another statement.
POSTGRESQL_RECEIVER_SECONDS: Final = 5.0

_OPTION: Final = re.compile(r"(?:-c\s*|--)([A-Za-z_.]+)\s*=")


def redis_transport_options(answer_seconds: float) -> dict[str, Any]:
    """Return kombu's transport options with a limit of `answer_seconds` for each answer of Redis."""
    return {
        "socket_connect_timeout": REDIS_CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive_options(),
        "health_check_interval": REDIS_OVERDUE_SECONDS,
    }


def redis_tls_options(settings: Settings) -> dict[str, Any]:
    """Return the TLS options of redis-py and kombu; {} without TLS.

    The certificate of Redis must be issued by an authority in `broker.tls_ca` (by default, the system's)
    and must name its host.

    Raises:
        ConfigurationError: No Redis is configured, and no private one has been started.
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
    """Return a client, not yet connected; it retries once without a wait if a connection is stale.

    Raises:
        ConfigurationError: No Redis is configured, and no private one has been started.
        ValueError: The URL is not a Redis URL.
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
    """Return socket options of level IPPROTO_TCP, in seconds; TCP_USER_TIMEOUT in milliseconds."""
    return {
        socket.TCP_KEEPIDLE: IDLE_SECONDS,
        socket.TCP_KEEPINTVL: PROBE_SECONDS,
        socket.TCP_KEEPCNT: PROBES,
        socket.TCP_USER_TIMEOUT: UNACKNOWLEDGED_SECONDS * 1000,
    }


def postgresql_arguments(url: URL) -> dict[str, Any]:
    """Return our connection parameters for libpq, except those that the URL gives itself."""
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
    """Return the settings of the server's session, by name.

    They are set by a statement, as pgbouncer refuses the startup parameter `options`. With these limits
    on its side, the server releases the locks of a client that was cut off.

    Args:
        url: Limits in its parameter `options` take precedence.
        busy_seconds: The longest wait for a lock; None for no limit.
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
    # Not left to the server's default: an acknowledged Instance must survive a crash of the server.
    return {"timezone": "UTC", "synchronous_commit": "on", **kept}


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that limits the wait for each answer, and is closed once that is exceeded.

    Attributes:
        answer_seconds: The limit for a statement; None for no limit.
    """

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ANN401 - psycopg's own
        """Wait for the server's answer and return it.

        Raises:
            psycopg.OperationalError: No answer came in time; the connection is closed.
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
        # In autocommit mode there are only the pool's ping and the session's settings, which are fast.
        if self.autocommit and self.answer_seconds is not None:
            return min(POSTGRESQL_PING_SECONDS, self.answer_seconds)
        return self.answer_seconds
