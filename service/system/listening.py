"""Explains why a server cannot listen on an address, and which process uses the port."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import psutil


def refusal(key: str, host: str, port: int, error: OSError) -> str:
    """Return why a server cannot listen on an address and what to do, as text.

    Args:
        key: The setting of the port, such as `web.port`.
        host: The interface.
        port: The port.
        error: The error of `bind` or of the name's resolution.
    """
    table = key.partition(".")[0]
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use by {user_of(port)}. Stop it, or set {key} to a free port"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine: correct {table}.host"
        case errno.EACCES:
            return (
                f"user {os.geteuid()} may not listen on port {port}: ports below 1024 need a permission "
                f"(CAP_NET_BIND_SERVICE); or set {key} to a higher one"
            )
    if error.errno is None or error.errno < 0:
        return f"{host} is no address and no name that is known here: correct {table}.host"
    return f"cannot listen on {host} port {port} ({error.strerror}): check {table}.host and {key}"


def user_of(port: int) -> str:
    """Return as text which process listens on a port, if this user may see it."""
    holders = holders_of(port)
    if not holders:
        return "a process of another user"
    first = holders[0]
    return (
        f"{'this service' if first.ours else 'another program'}: {first.name}, process {first.pid}"
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on a port; `ours` if it belongs to Wetread."""

    pid: int
    name: str
    ours: bool


def holders_of(port: int) -> list[Holder]:
    """Return the processes that listen on `port` and that this user may see, by process id."""
    try:
        connections = psutil.net_connections(kind="tcp")  # type: ignore[no-untyped-call]
        found = {
            each.pid
            for each in connections
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid
        }
        return [_holder(psutil.Process(pid)) for pid in sorted(found)]  # type: ignore[no-untyped-call]
    except psutil.Error:  # a process has ended meanwhile, or may not be inspected
        return []


def _holder(process: psutil.Process) -> Holder:
    name, command = process.name(), process.cmdline()  # type: ignore[no-untyped-call]
    programs = {Path(word).name for word in command[:2]}  # `wetread web`, `python /bin/wetread web`
    return Holder(process.pid, name, ours="service.cli" in command or "wetread" in programs)
