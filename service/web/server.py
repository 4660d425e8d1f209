"""The HTTP server of the web process: its listening socket, its signals and its orderly stop."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from dicom.network.keepalive import keep_alive
from dicom.scp.server_tls import RenewedContext, TlsFiles
from service.checks.tls_files import tls_fault
from service.errors import ConfigurationError
from service.log import get_logger
from service.settings.config import Settings
from service.settings.keys.sections import Web
from service.settings.keys.stow import Stow
from service.system.listening import refusal
from service.system.private_servers import private_folder
from service.system.signals import on_sighup
from service.system.uvicorn_private import running_requests
from service.web.live import Hub

_STOP_SECONDS: Final = 1
# Time that a request which a stop has canceled gets to clean up and answer.
_END_SECONDS: Final = 5.0
_BACKLOG: Final = 128

log = get_logger(__name__)


class QuietServer(uvicorn.Server):
    """Leaves signals to `stop_at_signals`: uvicorn would raise them again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install no signal handlers."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for requests that the stop canceled: the end of the loop would cancel them once more."""
        await super().shutdown(sockets)
        if cut_short := running_requests(self):
            await asyncio.wait(cut_short, timeout=_END_SECONDS)


class Server(QuietServer):
    """Ends the live streams first, so that a stop does not wait for open pages."""

    def __init__(self, app: Starlette, hub: Hub, settings: Settings) -> None:
        """Take the application and the streams that it serves.

        Raises:
            ConfigurationError: The TLS files cannot be used.
        """
        tls = tls_context(settings, settings.web, "web")
        trusted = list(settings.web.trusted_proxies)
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="on",
                log_config=None,
                access_log=False,  # URLs of pages hold study UIDs and nothing that is needed
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
                timeout_keep_alive=15,
                # Not uvicorn's default, which believes every program on this machine.
                proxy_headers=bool(trusted),
                forwarded_allow_ips=trusted,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close streams, then connections."""
        self._hub.close()
        await super().shutdown(sockets)


def tls_context(settings: Settings, table: Web | Stow, name: str) -> ssl.SSLContext | None:
    """Return a TLS context that loads a changed certificate at the next connection; None without TLS.

    Raises:
        ConfigurationError: The TLS files of the table cannot be used.
    """
    certificate, key = table.tls_certificate, table.tls_key
    if certificate is None or key is None:
        return None
    try:
        renewed = RenewedContext(TlsFiles(certificate=certificate, key=key))
    except OSError as error:
        message = (
            f"{name}.tls_certificate, {name}.tls_key: cannot be used: {error.strerror or error}"
        )
        raise ConfigurationError(tls_fault(settings, f"{name}.") or message) from None
    context = renewed()

    # OpenSSL calls this at each handshake, so a renewed certificate needs no restart.
    def take_newest(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = renewed()

    context.sni_callback = take_newest
    return context


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens on web.host and web.port; port 0 takes a free one.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    return bind(settings.web.host, settings.web.port, section="web")


def bind(host: str, port: int, *, section: str) -> socket.socket:
    """Return a socket that listens on this address, which the settings of `section` name.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    try:
        listener = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise ConfigurationError(
            f"{section}.host, {section}.port: cannot listen on {host} port {port}: "
            f"{refusal(f'{section}.port', host, port, error)}"
        ) from None
    keep_alive(listener)
    return listener


def address_of(listener: socket.socket, scheme: str = "http") -> str:
    """Return the URL by which a browser on this machine reaches the server."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared, not bound
    return f"{scheme}://{host}:{port}/"


@contextlib.contextmanager
def published_address(folder: Path, url: str, name: str = "web") -> Generator[None, None, None]:
    """Keep `<name>.json` with the URL and the process id in `folder` for the length of the block."""
    private_folder(folder)
    draft, final = folder / f"{name}.json.{os.getpid()}", folder / f"{name}.json"
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    draft.replace(final)  # atomic: no reader sees half a file
    log.info("web_listening", part=name, url=url)
    try:
        yield
    finally:
        final.unlink(missing_ok=True)
        log.info("web_stopped", part=name)


def stop_at_signals(server: uvicorn.Server) -> None:
    """Make SIGTERM and SIGINT stop the server from now on, also before it runs.

    SIGHUP only writes a log line, unless a handler for it was set before.
    """

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if signal.getsignal(signal.SIGHUP) in {signal.SIG_DFL, signal.SIG_IGN}:
        on_sighup(lambda: log.info("nothing_to_reload"))


def run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until a signal; call `stop_at_signals` first."""
    asyncio.run(server.serve(sockets=[listener]))
