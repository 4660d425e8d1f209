"""OHIF as radiologists run it: its published build, a real Orthanc behind DICOMweb, a real browser.

The viewer's package comes from npm into build/ohif, checked against the digest in package-lock.json;
its build is complete, so none of its dependencies is installed. A small server serves it and forwards
/dicom-web to Orthanc, because a browser requires one origin.
"""

import base64
import contextlib
import http.server
import json
import mimetypes
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.npm import installed_packages

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]

_SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "dicomweb",
    "configuration": {
        "friendlyName": "Orthanc",
        "name": "orthanc",
        "wadoUriRoot": "/dicom-web",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "qidoSupportsIncludeField": False,
        "supportsReject": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "omitQuotationForMultipartRequest": True,
        "dicomUploadEnabled": False,
    },
}
_CONFIG = {
    "routerBasename": "/",
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "showWarningMessageForCrossOrigin": False,
    "showCPUFallbackMessage": False,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [_SOURCE],
}
# Software WebGL: there is no graphics card in a test machine.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--force-device-scale-factor=1",
    "--window-size=1400,1000",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


@pytest.fixture(scope="session")
def ohif_build() -> Path:
    """The folder of OHIF's ready build, installed into build/ohif when it is not there yet."""
    return installed_packages(HERE, "ohif") / "@ohif" / "app" / "dist"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Static files of the viewer; /dicom-web is Orthanc's."""

    protocol_version = "HTTP/1.1"

    def __init__(self, dist: Path, archive: str, addition: str, *arguments: Any) -> None:
        self._dist, self._archive, self._addition = dist, archive, addition
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.split("?")[0]
        if path.startswith("/dicom-web"):
            self._pass_on()
        elif path == "/app-config.js":
            script = f"window.config = {json.dumps(_CONFIG)};\n{self._addition}"
            self._answer(200, "text/javascript", script.encode())
        else:
            file = (self._dist / path.lstrip("/")).resolve()
            found = file.is_file() and file.is_relative_to(self._dist)
            file = file if found else self._dist / "index.html"
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file)[0]
            self._answer(200, kind or "application/octet-stream", file.read_bytes())

    def _pass_on(self) -> None:
        accept = {"Accept": self.headers.get("Accept", "*/*")}
        request = urllib.request.Request(self._archive + self.path, headers=accept)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
                self._answer(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, "text/plain", error.read())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextlib.contextmanager
def _served(dist: Path, archive: str, addition: str = "") -> Iterator[str]:
    """Serve the viewer, with `addition` at the end of its configuration; yield its address."""
    handler = partial(_Handler, dist.resolve(), archive, addition)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def viewer_url(ohif_build: Path, orthanc: Any) -> Iterator[str]:
    """Address of the viewer, with the archive behind the same origin."""
    with _served(ohif_build, orthanc.url) as url:
        yield url


@pytest.fixture(scope="session")
def drawing_viewer_url(ohif_build: Path, orthanc: Any) -> Iterator[str]:
    """Address of the viewer with the addition to its configuration from deploy/ohif."""
    addition = (REPOSITORY / "deploy" / "ohif" / "draw-sr-regions.js").read_text()
    with _served(ohif_build, orthanc.url, addition) as url:
        yield url


_PRESS = {"type": "pointerDown", "button": 0}
_RELEASE = {"type": "pointerUp", "button": 0}


def _move(x: float, y: float, milliseconds: int = 0) -> dict[str, Any]:
    """Return the mouse's way to a point of the window."""
    return {"type": "pointerMove", "duration": milliseconds, "x": round(x), "y": round(y)}


class Browser:
    """Headless Chromium by the WebDriver protocol, as much of it as the viewer needs."""

    def __init__(self, driver: str, profile: Path) -> None:
        options = {"args": [*_FLAGS, f"--user-data-dir={profile}"]}
        match = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        wanted = {"capabilities": {"alwaysMatch": match}}
        self._client = httpx.Client(timeout=120)
        session = self._client.post(f"{driver}/session", json=wanted).raise_for_status().json()
        self._session = f"{driver}/session/{session['value']['sessionId']}"

    def call(self, path: str, **body: Any) -> Any:
        """Return the value that a command of the session answers with."""
        answer = self._client.post(f"{self._session}/{path}", json=body)
        return answer.raise_for_status().json()["value"]

    def open(self, url: str) -> None:
        """Load a page."""
        self.call("url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what the script returns in the page."""
        return self.call("execute/sync", script=script, args=list(arguments))

    def until(self, script: str, *arguments: Any, seconds: float = 30) -> Any:
        """Return what the script returns once that is true; fail the test when it stays false."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {script}"
            time.sleep(0.2)
        return value

    def click(self, x: float, y: float, *, times: int = 1) -> None:
        """Click at a point of the window."""
        self._point([_move(x, y), *[_PRESS, _RELEASE] * times])

    def drag(self, start: tuple[float, float], turn: tuple[float, float]) -> None:
        """Press at `start`, move to `turn` and back, and release: what was changed is undone."""
        self._point([_move(*start), _PRESS, _move(*turn, 50), _move(*start, 50), _RELEASE])

    def _point(self, actions: list[dict[str, Any]]) -> None:
        mouse = {"type": "pointer", "id": "mouse", "actions": actions}
        self.call("actions", actions=[mouse])

    def screenshot(self, path: Path) -> bytes:
        """Return a screenshot as PNG, and save it at `path`."""
        answer = self._client.get(f"{self._session}/screenshot").raise_for_status()
        content = base64.b64decode(answer.json()["value"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return content

    def console(self) -> list[str]:
        """Return the page's console messages since the last call."""
        return [entry["message"] for entry in self.call("se/log", type="browser")]

    def quit(self) -> None:
        """End the browser."""
        self._client.delete(self._session)
        self._client.close()


def _port_of(log: Path) -> str:
    """Return the port in chromedriver's log, or nothing until it is logged."""
    found = re.search(r"started successfully on port (\d+)", log.read_text(errors="replace"))
    return found.group(1) if found else ""


@pytest.fixture(scope="module")
def chromium(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[..., str]
) -> Iterator[Browser]:
    """A headless Chromium with WebGL in software."""
    program("chromium", "google-chrome")
    folder = tmp_path_factory.mktemp("chromium")
    log = folder / "log"
    command = [program("chromedriver"), "--port=0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 20
        while not (port := _port_of(log)):
            assert time.monotonic() < deadline, "chromedriver does not start"
            time.sleep(0.05)
        opened = Browser(f"http://127.0.0.1:{port}", folder / "profile")
        yield opened
        opened.quit()
    finally:
        process.terminate()
        process.wait(10)
