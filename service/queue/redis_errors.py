"""Messages on why Redis does not answer: the reason, the address, and what to do."""

import errno
import re
import socket
from collections.abc import Mapping
from typing import Final

import redis

from dicom.network.client_tls import tls_failure

# Text of redis-py's error, repeated by kombu, when a connection could not be made.
_REFUSED: Final = re.compile(r"Error (?P<number>-?\d+) connecting to (?P<where>.+?)\.(?: |$)")
_CUT_OFF: Final = ("Error while reading from ", "Connection closed by server")
_UNKNOWN_HOST: Final = (
    "the host name in {} is not known: correct broker.url, or check name resolution"
)
_NO_ROUTE: Final = "{} cannot be reached: check the network, or correct broker.url"
_NO_FILE: Final = (
    "a file of broker.tls_ca, tls_certificate or tls_key cannot be read: `wetread check` names it"
)
_REASONS: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "nothing listens at {}: start Redis there, or correct broker.url",
    errno.EHOSTUNREACH: _NO_ROUTE,
    errno.ENETUNREACH: _NO_ROUTE,
    errno.ETIMEDOUT: _NO_ROUTE,
    errno.ENOENT: _NO_FILE,
    errno.EACCES: _NO_FILE,
    socket.EAI_NONAME: _UNKNOWN_HOST,
    socket.EAI_NODATA: _UNKNOWN_HOST,
    socket.EAI_AGAIN: _UNKNOWN_HOST,
}
_NO_ACCESS: Final = ("AUTH", "NOAUTH", "WRONGPASS", "Authentication required", "invalid username")


def redis_reason(error: Exception) -> str:
    """Return a message for an error of redis-py or kombu, without the password that a URL may hold."""
    text = (str(error).splitlines() or [type(error).__name__])[0].rpartition("@")[2]
    if found := _REFUSED.match(text):
        reason = _REASONS.get(int(found["number"]))
        if reason is not None:
            return reason.format(found["where"])
    if failure := tls_failure(error):
        # Cut off the advice on `tls_sha256`, a setting that the broker does not have.
        return failure.partition(", or ")[0]
    if isinstance(error, redis.AuthenticationError) or text.startswith(_NO_ACCESS):
        return "it refuses the user or password: check both in broker.url"
    if isinstance(error, redis.TimeoutError) or text.startswith("Timeout"):
        return (
            "no answer within the time limit: check that Redis and the network are not overloaded "
            "or blocked"
        )
    if text.startswith(_CUT_OFF):
        return "the server ended the connection: correct broker.url if that is not a Redis server"
    return text
