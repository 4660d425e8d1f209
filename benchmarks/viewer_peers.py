"""Measure our viewer beside that of cornerstone: first picture, window drag, bytes, memory, gray levels.

    python benchmarks/viewer_peers.py [--repeat 5] [--mbit 100]

Ours is the page of a study with a draft (`/read/...`), served by a web process with login and
database. Cornerstone's is a page with nothing but its stack viewport, of the same size on the screen,
from a server of ready answers; its loader takes the same encoded level by the same decoder. So what
differs besides the viewers is to cornerstone's advantage. It is measured with its CPU path, with its
WebGL path, and with its CPU path on the half level only, which is what ours shows at this zoom.

Each try has a fresh browser, and the viewers take turns. Ratios are of tries in the same turn: the
medians, the least and the greatest. Needs chromium, chromedriver, npm and, once, its registry.
"""

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import numpy as np
import psutil
from pydicom import dcmread
from viewer_site import Browser, base_of, chromedriver, drafted, seeded, web_process

from dicom.study import Instance
from service.settings.config import Settings
from service.web.access.transport import SECURE_COOKIE

SIZE: Final = (3056, 2544)
_WINDOW: Final = "1920,1300"  # of the browser
ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build" / "cornerstone"
OURS, CPU = "ours", "cornerstone CPU"
PEERS: Final = {
    CPU: ("cpu", 0),
    "cornerstone WebGL": ("gpu", 0),
    "cornerstone CPU, half": ("cpu", 1),
}
FIGURES: Final = {
    "first": "first picture, ms",
    "sharp": "picture as sharp as the screen, ms",
    "drag": "window drag, frames/s",
    "program": "page and program, kB",
    "image": "image, kB",
    "memory": "memory of the browser, MB",
}
_PAGES: Final = Path(__file__).parent / "viewer_comparison"
_ASK, _OURS, _THEIRS = (
    (_PAGES / name).read_text() for name in ("ask.js", "ask-ours.js", "ask-theirs.js")
)
_LISTEN: Final = """
window.painted = {};
addEventListener("viewer:painted", ({ detail }) => { painted[detail.level] = performance.now(); });
"""


@dataclass(frozen=True)
class Bench:
    """What all tries share.

    Attributes:
        driver: Address of chromedriver.
        driver_id: Its process, whose children are the browsers.
        service: Address of our service.
        cookie: A person's session.
        page: Of the study, relative to the service.
        peer: Address of the server of cornerstone's page.
        points: (column, row) on the image where the gray levels are compared.
        invert: Whether the image is shown with small values white.
        mbit: Rate that the browser is held to; 0 for none.
    """

    driver: str
    driver_id: int
    service: str
    cookie: str
    page: str
    peer: str
    points: list[tuple[int, int]]
    invert: bool
    mbit: float


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="turns of all viewers (5)")
    parser.add_argument(
        "--mbit", type=float, default=0, help="hold the browser to a rate in Mbit/s"
    )
    arguments = parser.parse_args()
    bundle = bundled()
    with tempfile.TemporaryDirectory(prefix="wetread-peers-") as folder:
        settings = Settings(data_dir=Path(folder), web={"port": 0})  # type: ignore[arg-type]
        (image,), cookie = seeded(settings, 1, SIZE)
        page = drafted(settings, image, SIZE)
        with web_process(settings) as service, chromedriver() as (driver, driver_id):
            answers = {"/page.js": ("text/javascript", gzip.compress(bundle, 6))}
            answers["/page.html"] = (
                "text/html",
                gzip.compress((_PAGES / "page.html").read_bytes()),
            )
            description = fetched(f"{service}{base_of(image)}", cookie, answers)
            with ready_answers(answers) as peer:
                points = flat_places(image)
                invert = bool(description["inverse"])
                bench = Bench(
                    driver, driver_id, service, cookie, page, peer, points, invert, arguments.mbit
                )
                report(measured(bench, arguments.repeat))


def bundled() -> bytes:
    """Return cornerstone's page as one script; the packages of the lock file are installed once."""
    wanted, stamp = (_PAGES / "package-lock.json").read_text(), BUILD / "installed"
    BUILD.mkdir(parents=True, exist_ok=True)
    for file in _PAGES.iterdir():
        shutil.copy(file, BUILD / file.name)
    if not (stamp.exists() and stamp.read_text() == wanted):
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=BUILD, check=True)
        stamp.write_text(wanted)
    levels = ROOT / "service" / "web" / "static" / "viewer-levels.js"
    command = [
        *("node_modules/.bin/esbuild", "page.js", "--bundle", "--minify", "--format=esm"),
        *("--alias:xmlbuilder2=./no-xml.js", f"--alias:viewer-levels={levels}"),
        *("--log-level=error", "--outfile=bundle.js"),
    ]
    subprocess.run(command, cwd=BUILD, check=True)
    return (BUILD / "bundle.js").read_bytes()


def fetched(base: str, cookie: str, answers: dict[str, tuple[str, bytes]]) -> dict[str, Any]:
    """Add the levels of an image, as the service sends them, to `answers`; return its description."""
    headers = {"Cookie": f"{SECURE_COOKIE}={cookie}"}
    with httpx.Client(headers=headers, timeout=60) as client:
        description = client.get(f"{base}voi.json").raise_for_status().json()
        for level in (0, 1):
            with client.stream("GET", f"{base}levels/{level}") as answer:
                body = b"".join(answer.raise_for_status().iter_raw())
            answers[f"/levels/{level}"] = ("application/octet-stream", body)
    return description


@contextmanager
def ready_answers(answers: dict[str, tuple[str, bytes]]) -> Iterator[str]:
    """Serve compressed answers by path on loopback; give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, body = answers[self.path.partition("?")[0]]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def flat_places(image: Instance) -> list[tuple[int, int]]:
    """Return (column, row) where the image hardly changes, of many gray levels.

    Zoomed out, viewers mix neighboring pixels in different ways: elsewhere that would be compared.
    """
    pixels = dcmread(image.path).pixel_array
    side = 48
    best: dict[int, tuple[float, tuple[int, int]]] = {}
    for top in range(side, pixels.shape[0] - 2 * side, side):
        for left in range(side, pixels.shape[1] - 2 * side, side):
            patch = pixels[top : top + side, left : left + side]
            level = int(np.median(patch)) * 24 // 4096
            spread = float(patch.std())
            if level not in best or spread < best[level][0]:
                best[level] = (spread, (left + side // 2, top + side // 2))
    noise = min(spread for spread, _ in best.values())
    return [place for _, (spread, place) in sorted(best.items()) if spread < 1.3 * noise]


def measured(bench: Bench, repeat: int) -> dict[str, list[dict[str, Any]]]:
    """Return the tries of each viewer; those of a turn have the same place in the lists."""
    sys.stdout.write(f"load before: {os.getloadavg()[0]:.1f}\n")
    tries: dict[str, list[dict[str, Any]]] = {name: [] for name in (OURS, *PEERS)}
    for turn in range(repeat + 1):
        ours = try_ours(bench)
        order = list(PEERS) if turn % 2 else list(reversed(PEERS))
        theirs = {name: try_peer(bench, *PEERS[name], ours) for name in order}
        if turn:  # the first one warms the caches of the machine
            for name, found in {OURS: ours, **theirs}.items():
                tries[name].append(found)
    sys.stdout.write(f"load after: {os.getloadavg()[0]:.1f}\n")
    return tries


@contextmanager
def browser_of(bench: Bench) -> Iterator[Browser]:
    """Give a fresh browser at an empty page."""
    browser = Browser(bench.driver, _WINDOW)
    try:
        if bench.mbit:
            rate = bench.mbit * 1e6 / 8
            browser.develop("Network.enable")
            browser.develop(
                "Network.emulateNetworkConditions",
                offline=False,
                latency=2,
                downloadThroughput=rate,
                uploadThroughput=rate,
            )
        yield browser
    finally:
        browser.quit()


def try_ours(bench: Bench) -> dict[str, Any]:
    with browser_of(bench) as browser:
        browser.develop("Page.addScriptToEvaluateOnNewDocument", source=_LISTEN)
        browser.develop(
            "Network.setCookie",
            name=SECURE_COOKIE,
            value=bench.cookie,
            url=bench.service,
            path="/",
            secure=True,
        )
        return try_at(bench, browser, bench.service + bench.page, _ASK + _OURS, bench.points)


def try_peer(bench: Bench, renderer: str, level: int, ours: dict[str, Any]) -> dict[str, Any]:
    windows = [{"lower": each["lower"], "upper": each["upper"]} for each in ours["looks"]]
    asked = {
        "renderer": renderer,
        "width": ours["width"],
        "height": ours["height"],
        "pixels": f"levels/{level}",
        "columns": SIZE[1] >> level,
        "rows": SIZE[0] >> level,
        "invert": bench.invert,
        **windows[0],
    }
    address = f"{bench.peer}page.html?asked={quote(json.dumps(asked))}"
    with browser_of(bench) as browser:
        return try_at(bench, browser, address, _ASK + _THEIRS, bench.points, windows, 1 / 2**level)


def try_at(
    bench: Bench, browser: Browser, address: str, script: str, *arguments: object
) -> dict[str, Any]:
    before = memory_of(bench.driver_id)
    browser.call("url", url=address)
    found = browser.run(script, *arguments)
    if "error" in found:
        raise RuntimeError(found["error"])
    return {**found, "memory": memory_of(bench.driver_id) - before}


def memory_of(driver: int) -> float:
    """Return the memory of the browsers of a driver in MB; shared memory is divided by its users."""
    total = 0
    for each in psutil.Process(driver).children(recursive=True):
        try:
            total += each.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def report(tries: dict[str, list[dict[str, Any]]]) -> None:
    """Print medians, ratios, and how far the gray levels are apart."""
    ours = tries[OURS]
    sys.stdout.write(f"{ours[0]['width']} x {ours[0]['height']}, ours by {ours[0]['painter']}\n")
    for figure, label in FIGURES.items():
        for name, found in tries.items():
            values = [each[figure] for each in found]
            ratios = [each[figure] / own[figure] for each, own in zip(found, ours, strict=True)]
            sys.stdout.write(
                f"{label:36} {name:22} {statistics.median(values):9.1f}"
                f"   x {statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})\n"
            )
    for name in PEERS:
        apart = [
            abs(mine - other)
            for each, own in zip(tries[name], ours, strict=True)
            for look, own_look in zip(each["looks"], own["looks"], strict=True)
            for mine, other in zip(look["grays"], own_look["grays"], strict=True)
        ]
        sys.stdout.write(f"gray levels apart, {name}: {max(apart):.1f} at most of {len(apart)}\n")


if __name__ == "__main__":
    main()
