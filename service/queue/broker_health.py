"""Checks by a small write, within the socket's time limits, whether Redis takes messages."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import redis

from dicom.network.client_tls import tls_failure
from service.errors import ConfigurationError
from service.queue.names import READING
from service.settings.config import Settings
from service.system.socket_limits import redis_client

# The queues' prefix, so that an ACL that allows the queues allows this key. It expires by itself.
_KEY: Final = f"{READING}.probe"
_KEY_SECONDS: Final = 60
NOT_ACCEPTING: Final = "Redis does not accept messages"
_SAFE: Final = "Jobs are safe in the database and continue automatically."


class BrokerFault(StrEnum):
    """Why no message can be sent; a label of `wetread_broker_fault`."""

    ABSENT = "absent"
    AWAY = "away"
    TLS = "tls"
    MEMORY = "oom"
    READ_ONLY = "read_only"
    DISK = "disk"
    REFUSED = "refused"


_REFUSALS: Final = {
    BrokerFault.MEMORY: "its memory is full (OOM). Raise maxmemory, or free memory",
    BrokerFault.READ_ONLY: "it is a read-only replica. Point broker.url to the primary",
    BrokerFault.DISK: "it cannot save to its disk (MISCONF). See its log, and free its disk",
    BrokerFault.REFUSED: "it refuses to write. Check the user of broker.url and its permissions",
}


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """What is wrong with the broker; `sentence` contains no address, and is "" without a fault."""

    fault: BrokerFault | None = None
    sentence: str = ""


def check_broker(settings: Settings) -> BrokerHealth:
    """Return what is wrong with the message broker; takes about two seconds if Redis is silent."""
    try:
        with redis_client(settings) as client:
            client.set(_KEY, b"1", ex=_KEY_SECONDS)
    except ConfigurationError:
        sentence = "No Redis is configured, and no private one is running."
        return BrokerHealth(BrokerFault.ABSENT, sentence)
    except redis.ResponseError as error:
        fault = _refusal(error)
        return BrokerHealth(fault, f"{NOT_ACCEPTING}: {_REFUSALS[fault]}. {_SAFE}")
    except (redis.RedisError, OSError, ValueError) as error:
        return _unreachable(error)
    return BrokerHealth()


def _refusal(error: redis.ResponseError) -> BrokerFault:
    if isinstance(error, redis.OutOfMemoryError):
        return BrokerFault.MEMORY
    if isinstance(error, redis.ReadOnlyError):
        return BrokerFault.READ_ONLY
    return BrokerFault.DISK if str(error).startswith("MISCONF") else BrokerFault.REFUSED


def _unreachable(error: Exception) -> BrokerHealth:
    if reason := tls_failure(error):
        # Cut off the advice on `tls_sha256`, a setting that the broker does not have.
        cause = reason.partition(", or ")[0]
        return BrokerHealth(
            BrokerFault.TLS,
            f"TLS with Redis failed, because one side does not trust the other: {cause}.",
        )
    return BrokerHealth(BrokerFault.AWAY, f"Redis does not answer. {_SAFE}")
