"""Measure how soon the viewer shows an image, and its frames a second while the window is dragged.

    python benchmarks/viewer.py [--screenshot picture.png]

A web process with a database of its own serves a synthetic radiograph of 2500 x 3000 pixels; headless
Chromium shows it by canvas 2D and by WebGL2 (SwiftShader where there is no graphics processor). Needs
chromium and chromedriver. Prints medians of five tries.
"""

import argparse
import base64
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from service.accounts import Role, SessionLimits, new_secret
from service.database import schema
from service.settings.config import Settings, as_environment, child_environment
from service.store import Store
from service.web.access.transport import SECURE_COOKIE

TRIES: Final = 5
SIZE: Final = (3000, 2500)
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--window-size=1020,1240",
)
_SHOW: Final = """
const [base, renderer, done] = arguments;
(async () => {
  const { mountViewer, viewerOf } = await import("/static/viewer.js");
  let section = document.getElementById("measured");
  if (section) { viewerOf(section)?.destroy(); section.remove(); }
  section = document.createElement("section");
  section.id = "measured";
  section.style.width = "1000px";
  section.style.setProperty("--viewer-height", "1100px");
  document.body.replaceChildren(section);
  const times = {};
  section.addEventListener("viewer:painted", ({ detail }) => {
    times[detail.level] = detail.milliseconds;
  });
  // Another address for each try: the module keeps what it has fetched.
  const viewer = mountViewer(section, { film: base, renderer });
  while (Object.keys(times).length < 2 || !viewer.levels[0]) {
    await new Promise((go) => setTimeout(go, 10));
  }
  viewer.paint();
  const flush = () => viewer.painter.gl?.readPixels(0, 0, 1, 1, 6408, 5121, new Uint8Array(4));
  const rate = async (step) => {
    const began = performance.now();
    let frames = 0;
    while (performance.now() - began < 2000) {
      await new Promise(requestAnimationFrame);
      step(frames % 20 < 10 ? 1 : -1);
      viewer.paint();
      flush();
      frames += 1;
    }
    return 1000 * frames / (performance.now() - began);
  };
  const drag = await rate((sign) => viewer.windowBy(sign * 0.01, sign * 0.01));
  const pan = await rate((sign) => viewer.panBy(5 * sign, 5 * sign));
  done({ quarter: times[2], half: times[1] ?? times[0], drag, pan, painter: section.dataset.painter });
})().catch((error) => done({ error: String(error) }));
"""


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--screenshot", type=Path, help="where to write what was seen last")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-viewer-") as folder:
        settings = Settings(data_dir=Path(folder), web={"port": 0})  # type: ignore[arg-type]
        bases, cookie = _seeded(settings)
        with _web(settings) as url, _driver() as driver:
            began = time.perf_counter()
            headers = {"Cookie": f"{SECURE_COOKIE}={cookie}"}
            httpx.get(f"{url}{bases[0]}voi.json", headers=headers, timeout=60).raise_for_status()
            _say("levels made on demand, s", time.perf_counter() - began)
            browser = _Browser(driver)
            browser.enter(url, cookie)
            for base in bases[1:]:
                httpx.get(f"{url}{base}voi.json", headers=headers, timeout=60).raise_for_status()
            _measure(browser, bases)
            if arguments.screenshot:
                arguments.screenshot.write_bytes(base64.b64decode(browser.get("screenshot")))
            browser.quit()


def _measure(browser: "_Browser", bases: list[str]) -> None:
    halves = {"canvas": bases[:TRIES], "webgl2": bases[TRIES:]}
    for painter, own in halves.items():
        found = [browser.call("execute/async", script=_SHOW, args=[base, painter]) for base in own]
        for name, label in (
            ("quarter", "first picture (quarter level), ms"),
            ("half", "next level, ms"),
            ("drag", "window drag, frames/s"),
            ("pan", "pan, frames/s"),
        ):
            _say(f"{painter}: {label}", statistics.median(each[name] for each in found))


def _say(label: str, value: float) -> None:
    sys.stdout.write(f"{label:52} {value:8.2f}\n")


def _seeded(settings: Settings) -> tuple[list[str], str]:
    """Return the base addresses of images in the store, and the token of a session."""
    schema.upgrade(settings.database_url)
    settings.spool_dir.mkdir(parents=True)
    noise = np.random.default_rng(3).normal(0, 12, SIZE)
    bases = []
    with closing(Store(settings.database_url)) as store:
        for number in range(2 * TRIES):
            dataset = as_dataset(draw(40 + number, rows=SIZE[0] // 4, columns=SIZE[1] // 4))
            pixels = np.kron(dataset.pixel_array, np.ones((4, 4), np.uint16))[: SIZE[0], : SIZE[1]]
            top = 2**dataset.BitsStored - 1
            dataset.Rows, dataset.Columns = pixels.shape
            grained = np.clip(pixels + noise[: pixels.shape[0], : pixels.shape[1]], 0, top)
            dataset.PixelData = grained.astype("<u2").tobytes()
            path = write(dataset, settings.spool_dir / f"{number}.dcm")
            image = describe(path)
            store.add_instance(image, calling_ae="CR1", association_id=str(number), eligible=True)
            bases.append(f"studies/{image.study_instance_uid}/films/{image.sop_instance_uid}/")
        return bases, _session(store)


def _session(store: Store) -> str:
    account = store.add_person(
        "ann",
        roles=frozenset(Role),
        password_hash="",
        actor="benchmark",
        display_name="",
        dicom_name="",
    )
    token, digest = new_secret()
    limits = SessionLimits(idle=timedelta(hours=1), absolute=timedelta(hours=1))
    store.open_session(digest, account.person.id, address="127.0.0.1", limits=limits)
    return token


@contextmanager
def _web(settings: Settings) -> Iterator[str]:
    overrides = {"data_dir": str(settings.data_dir), "web": {"port": 0}}
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "web"],
        env=child_environment(**as_environment(overrides)),
    )
    address = settings.run_dir / "web.json"
    try:
        while not address.exists() and process.poll() is None:
            time.sleep(0.1)
        yield json.loads(address.read_text())["url"]
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def _driver() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["chromedriver", f"--port={port}"],
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
            client.get(f"{url}/status").raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(10)


class _Browser:
    """Headless Chromium by the WebDriver protocol."""

    def __init__(self, driver: str) -> None:
        self._client = httpx.Client(timeout=180)
        asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": list(_FLAGS)}}}}
        session = self._client.post(f"{driver}/session", json=asked).raise_for_status().json()
        self._session = f"{driver}/session/{session['value']['sessionId']}"
        self.call("timeouts", script=120_000)

    def call(self, path: str, **body: object) -> Any:  # noqa: ANN401 - whatever JSON has
        answer = self._client.post(f"{self._session}/{path}", json=body)
        return answer.raise_for_status().json()["value"]

    def get(self, path: str) -> str:
        return str(self._client.get(f"{self._session}/{path}").raise_for_status().json()["value"])

    def enter(self, url: str, cookie: str) -> None:
        self.call("url", url=f"{url}login")
        wanted = {"name": SECURE_COOKIE, "value": cookie, "path": "/", "secure": True}
        self.call("cookie", cookie=wanted)
        self.call("url", url=url)

    def quit(self) -> None:
        self._client.delete(self._session)


if __name__ == "__main__":
    main()
