"""Explains why a server cannot listen on an address, and which process uses the port."""

import errno
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


def refusal(key: str, host: str, port: int, error: OSError, *, data_dir: Path | None = None) -> str:
    """Return why a server cannot listen on an address and what to do, as text.

    Args:
        key: The setting of the port, such as `web.port`.
        host: The interface.
        port: The port.
        error: The error of `bind` or of the name's resolution.
        data_dir: The data folder of this site; that of this process's environment if None.
    """
    table = key.partition(".")[0]
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use by {_user_of(port, data_dir, key)}"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine: correct {table}.host"
        case errno.EACCES:
            return (
                f"user {os.geteuid()} may not listen on port {port}: ports below 1024 need a permission "
                f"(CAP_NET_BIND_SERVICE); or set {key} to a higher one"
            )
    if error.errno is None or error.errno < 0:
        unknown = f"{host} is neither an address of this machine nor a known host name"
        return f"{unknown}: correct {table}.host"
    return f"cannot listen on {host} port {port} ({error.strerror}): check {table}.host and {key}"


def _user_of(port: int, data_dir: Path | None, key: str) -> str:
    """Return as text which process listens on a port, if this user may see it, and what to do."""
    stop = f"Stop it, or set {key} to a free port"
    holders = holders_of(port)
    if not holders:
        return f"a process of another user. {stop}"
    first = holders[0]
    process = f"{first.name}, process {first.pid}"
    if not first.is_wetread:
        return f"another program: {process}. {stop}"
    if first.belongs_to(data_dir or _data_dir_of(_this_process())):
        return f"this service: {process}. {stop}"
    # Not "stop it": the other site may be the one in clinical use.
    return (
        f"another Wetread, whose data_dir is {first.data_dir}: {process}. Set {key} to a free port; two "
        "sites on one machine need their own ports, data_dir and database"
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens on a port.

    Attributes:
        is_wetread: Whether it is a process of Wetread, of this site or of another.
        data_dir: The data folder that its environment or its file of settings names; None if unknown.
    """

    pid: int
    name: str
    is_wetread: bool
    data_dir: Path | None = None

    def belongs_to(self, data_dir: Path | None) -> bool:
        """Return whether it is a process of the site in `data_dir`; also if its folder is unknown."""
        if not self.is_wetread:
            return False
        return None in (self.data_dir, data_dir) or self.data_dir == data_dir


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
    if "service.cli" not in command and "wetread" not in programs:
        return Holder(process.pid, name, is_wetread=False)
    return Holder(process.pid, name, is_wetread=True, data_dir=_data_dir_of(process))


def _this_process() -> psutil.Process:
    return psutil.Process()  # type: ignore[no-untyped-call]


def _data_dir_of(process: psutil.Process) -> Path | None:
    """Return the data folder that a process of Wetread uses, resolved; None if it is not known."""
    try:
        environment, folder = process.environ(), Path(process.cwd())  # type: ignore[no-untyped-call]
        named = environment.get("WETREAD_DATA_DIR") or _configured_data_dir(environment, folder)
        return (folder / named).resolve() if named else None
    except (OSError, psutil.Error):
        return None


def _configured_data_dir(environment: Mapping[str, str], folder: Path) -> str:
    """Return `data_dir` of the file of settings that a process reads, "" if it names none."""
    file = folder / (environment.get("WETREAD_CONFIG") or "wetread.toml")
    try:
        with file.open("rb") as content:
            return str(tomllib.load(content).get("data_dir", ""))
    except (OSError, ValueError):
        return ""
