"""Messages for the user about a peer that could not be reached, instead of a library's own."""

import errno
import socket
from collections.abc import Iterator
from typing import Final

_NO_ROUTE: Final = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}
)
_CLOSED: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN})


def network_failure(error: BaseException | None) -> str:
    """Return why there was no answer and what to check, as the end of a sentence.

    Args:
        error: A library's error; its causes and the errors among its arguments are searched, too.
    """
    for each in causes(error):
        if isinstance(each, socket.gaierror):
            return "its host name cannot be resolved; check the name in its url, and the DNS"
        if isinstance(each, OSError) and (message := _message(each)):
            return message
    return "it closed the connection without a complete answer; check its log and its url"


def _message(error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return "the connection was refused; check that it runs, and its url"
    if error.errno in _NO_ROUTE:
        return "the network has no route to it; check its url, and the network"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "it did not answer in time; check that it runs, its url, and the firewalls"
    if isinstance(error, ConnectionError) or error.errno in _CLOSED:
        return "it closed the connection without a complete answer; check its log and its url"
    return ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its causes and the errors among its arguments, recursively, each once."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [part for part in each.args if isinstance(part, BaseException)]
        reason = getattr(each, "reason", None)  # urllib3 keeps the cause there
        waiting += [*inner, each.__cause__, each.__context__]
        waiting += [reason] if isinstance(reason, BaseException) else []
