"""Checks whether each port is free, in use by this service, or in use by another program."""

import errno
import socket
from collections.abc import Iterator
from functools import partial

from service.checks.check import Check, Grade, Outcome
from service.settings.config import Settings
from service.settings.endpoints import Endpoint, endpoints
from service.system.listening import holders_of, refusal


def port_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each configured port; port 0 (any free one) needs no check."""
    for each in endpoints(settings):
        if each.port:
            yield Check(each.name, partial(_port, each))


def _port(endpoint: Endpoint) -> Outcome:
    try:
        _bind(endpoint.host, endpoint.port)
    except OSError as error:
        return _refused(endpoint, error)
    return Outcome(f"{endpoint.port} is free: the service does not listen on it now")


def _bind(host: str, port: int) -> None:
    """Listen on an address for a moment.

    Raises:
        OSError: A server cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections in TIME_WAIT do not make a port count as in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def _refused(endpoint: Endpoint, error: OSError) -> Outcome:
    host, port = endpoint.host, endpoint.port
    if error.errno == errno.EADDRNOTAVAIL:
        where = f"{host} is no address of this machine"
        return Outcome(f"{where}: right only if this part runs on another one", Grade.WARNING)
    if error.errno == errno.EADDRINUSE:
        holders = holders_of(port)
        if any(holder.ours for holder in holders):
            return Outcome(f"{port} is in use by this service")
        if not holders:
            words = f"{port} is in use by a process of another user: fine if that is this service"
            return Outcome(words, Grade.WARNING)
    return Outcome(refusal(endpoint.name, host, port, error), Grade.FAULT)
