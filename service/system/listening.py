"""Why a server cannot listen on an address: the reason in words, and who has the port."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import psutil


def refusal(key: str, host: str, port: int, error: OSError) -> str:
    """Return why a server cannot listen there and what to do.

    Args:
        key: The setting of the port.
        host: The interface.
        port: The port.
        error: Why it was refused.
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
    """Return in words which process listens on a port, as far as this user may see it."""
    holders = holders_of(port)
    if not holders:
        return "a process of another user"
    first = holders[0]
    return (
        f"{'this service' if first.ours else 'another program'}: {first.name}, process {first.pid}"
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on a port."""

    pid: int
    name: str
    ours: bool


def holders_of(port: int) -> list[Holder]:
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


def _holder(process: psutil.Process) -> Holder:
    name, command = process.name(), process.cmdline()  # type: ignore[no-untyped-call]
    programs = {Path(word).name for word in command[:2]}  # `wetread web`, `python /bin/wetread web`
    return Holder(process.pid, name, ours="service.cli" in command or "wetread" in programs)
