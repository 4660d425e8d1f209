"""A proxy before Orthanc that refuses, delays, cuts, or answers Success and drops the object."""

import http.client
import io
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal
from urllib.parse import urlsplit

FailureMode = Literal["honest", "refuses", "errors", "slow", "breaks", "forgets", "drips"]
FAILURE_MODES: Final[tuple[FailureMode, ...]] = (
    "refuses",
    "errors",
    "slow",
    "breaks",
    "forgets",
    "drips",
)
_BYTE_SECONDS: Final = 1.0
_KEPT_HEADERS: Final = ("Content-Type", "Accept")
_FORGOTTEN: Final = json.dumps({"ID": "0", "Path": "/instances/0", "Status": "Success"}).encode()


class Proxy:
    """Listens on a loopback port; `failure_mode` may change at any time.

    Attributes:
        failure_mode: `honest` passes everything on; `refuses` closes each connection unanswered;
            `errors` answers 503; `slow` waits `delay` seconds first; `breaks` passes a request on and
            cuts the answer off; `forgets` answers a stored object with Success and drops it; `drips`
            passes a request on and sends one byte of the answer a second.
        delay: Seconds that a slow answer takes longer.
        harmed: How many requests were not passed on unchanged.
    """

    def __init__(self, target: str) -> None:
        """Take the root of the REST API behind it."""
        self.failure_mode: FailureMode = "honest"
        self.delay = 1.0
        self.harmed = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._server.behind = urlsplit(target).netloc
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy
    behind: str

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: broken connections are expected here."""


class _Answer(io.BufferedIOBase):
    """Writes to a connection: all at once, or a byte a second while the proxy drips."""

    def __init__(self, connection: socket.socket, proxy: Proxy) -> None:
        self._connection = connection
        self._proxy = proxy

    def writable(self) -> bool:
        """Return that it is."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        """Write all of `data` and return its length."""
        rest = memoryview(data)
        while rest:
            drips = self._proxy.failure_mode == "drips"
            size = 1 if drips else len(rest)
            self._connection.sendall(rest[:size])
            rest = rest[size:]
            if drips:
                time.sleep(_BYTE_SECONDS)
        return len(data)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the base
        """Log nothing."""

    def setup(self) -> None:
        """Send small answers at once."""
        super().setup()
        self.wfile = _Answer(self.connection, self.server.proxy)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        """Pass the request on or not, as `failure_mode` states."""
        self._serve()

    do_POST = do_DELETE = do_GET  # noqa: N815 - named so by the base

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        failure_mode = self.server.proxy.failure_mode
        forgets = failure_mode == "forgets" and self.command == "POST" and self.path == "/instances"
        self.server.proxy.harmed += forgets or failure_mode not in ("honest", "forgets")
        if failure_mode == "refuses":
            self.close_connection = True
        elif failure_mode == "errors":
            self._answer(503, b"out of order")
        elif forgets:
            self._answer(200, _FORGOTTEN, "application/json")
        else:
            if failure_mode == "slow":
                time.sleep(self.server.proxy.delay)
            self._pass_on(body, whole=failure_mode != "breaks")

    def _pass_on(self, body: bytes, *, whole: bool) -> None:
        behind = http.client.HTTPConnection(self.server.behind, timeout=60)
        headers = {name: self.headers[name] for name in _KEPT_HEADERS if name in self.headers}
        try:
            behind.request(self.command, self.path, body or None, headers)
            answer = behind.getresponse()
            content = answer.read()
        except OSError:
            self._answer(502, b"the target does not answer")
        else:
            kind = answer.headers.get("Content-Type", "application/octet-stream")
            self._answer(answer.status, content, kind, whole=whole)
        finally:
            behind.close()

    def _answer(
        self, status: int, content: bytes, kind: str = "text/plain", *, whole: bool = True
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if whole else content[: len(content) // 2])
        self.close_connection = not whole
