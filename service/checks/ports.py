"""Checks whether each port is free, in use by this service, or in use by another program."""

import errno
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from service.checks.check import Check, Grade, Outcome
from service.settings.config import Settings
from service.settings.endpoints import Endpoint, endpoints
from service.system.listening import holders_of, refusal


def port_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each configured port; port 0 (any free one) needs no check."""
    for each in endpoints(settings):
        if each.port:
            yield Check(each.name, partial(_port, each, settings.data_dir.resolve()))


def ports_of_others(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each configured port that another program or another site listens on."""
    data_dir = settings.data_dir.resolve()
    for each in endpoints(settings):
        try:
            if each.port:
                _bind(each.host, each.port)
        except OSError as error:
            holders = holders_of(each.port)
            if error.errno != errno.EADDRINUSE or not holders:
                continue  # the part itself reports it
            if not any(holder.belongs_to(data_dir) for holder in holders):
                reason = refusal(each.name, each.host, each.port, error, data_dir=data_dir)
                yield f"{each.name}: {reason}"


def _port(endpoint: Endpoint, data_dir: Path) -> Outcome:
    try:
        _bind(endpoint.host, endpoint.port)
    except OSError as error:
        return _refused(endpoint, error, data_dir)
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


def _refused(endpoint: Endpoint, error: OSError, data_dir: Path) -> Outcome:
    host, port = endpoint.host, endpoint.port
    if error.errno == errno.EADDRNOTAVAIL:
        where = f"{host} is not an address of this machine"
        return Outcome(
            f"{where}: correct only if this process runs on another machine", Grade.WARNING
        )
    if error.errno == errno.EADDRINUSE:
        holders = holders_of(port)
        if any(holder.belongs_to(data_dir) for holder in holders):
            return Outcome(f"{port} is in use by this service")
        if not holders:
            text = f"{port} is in use by a process of another user: correct if that is this service"
            return Outcome(text, Grade.WARNING)
    return Outcome(refusal(endpoint.name, host, port, error, data_dir=data_dir), Grade.FAULT)
