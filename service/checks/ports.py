"""Checks of the ports: free, in use by this service, or in use by another program."""

import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from service.checks.check import Check, Grade, Outcome
from service.config import Settings


def port_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each port that the settings name; 0 takes a free one and needs none."""
    receiver, web, stow = settings.receiver, settings.web, settings.stow
    ports = {
        "receiver.port": (receiver.host, receiver.port),
        "receiver.tls_port": (receiver.host, receiver.tls_port),
        "web.port": (web.host, web.port),
        "stow.port": (stow.host, stow.port),
    }
    for key, (host, port) in ports.items():
        if port:
            yield Check(key, partial(_port, key, host, port))


def _port(key: str, host: str, port: int) -> Outcome:
    try:
        _bind(host, port)
    except OSError as error:
        return _refused(key, host, port, error)
    return Outcome(f"{port} is free: the service does not listen on it now")


def _bind(host: str, port: int) -> None:
    """Return when a server could listen there.

    Raises:
        OSError: It could not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def _refused(key: str, host: str, port: int, error: OSError) -> Outcome:
    if error.errno == errno.EADDRINUSE:
        return _in_use(key, port)
    if error.errno == errno.EADDRNOTAVAIL:
        where = f"{host} is no address of this machine"
        return Outcome(f"{where}: right only if this part runs on another one", Grade.WARNING)
    if error.errno == errno.EACCES:
        words = (
            f"user {os.geteuid()} may not listen on port {port}: ports below 1024 need a permission"
        )
        return Outcome(f"{words} (CAP_NET_BIND_SERVICE); or set {key} to a higher one", Grade.FAULT)
    return Outcome(f"cannot listen on {host} port {port}: {error.strerror}", Grade.FAULT)


@dataclass(frozen=True, slots=True)
class _Holder:
    """A process that listens on a port."""

    pid: int
    name: str
    ours: bool


def _in_use(key: str, port: int) -> Outcome:
    holders = _holders(port)
    if any(holder.ours for holder in holders):
        return Outcome(f"{port} is in use by this service")
    if not holders:
        words = f"{port} is in use by a process of another user: fine if that is this service"
        return Outcome(words, Grade.WARNING)
    other = holders[0]
    words = f"{port} is in use by another program: {other.name}, process {other.pid}"
    return Outcome(f"{words}. Stop it, or set {key} to a free port", Grade.FAULT)


def _holders(port: int) -> list[_Holder]:
    """Return the processes that listen on `port`, as far as this user may see them."""
    try:
        connections = psutil.net_connections(kind="tcp")  # type: ignore[no-untyped-call]
        found = {
            each.pid
            for each in connections
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
        }
        return [_holder(psutil.Process(pid)) for pid in sorted(found)]  # type: ignore[no-untyped-call]
    except psutil.Error:  # it has ended meanwhile, or may not be looked at
        return []


def _holder(process: psutil.Process) -> _Holder:
    name, command = process.name(), process.cmdline()  # type: ignore[no-untyped-call]
    programs = {Path(word).name for word in command[:2]}  # `wetread web`, `python /bin/wetread web`
    return _Holder(process.pid, name, ours="service.cli" in command or "wetread" in programs)
