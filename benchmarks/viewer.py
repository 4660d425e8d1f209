"""Measure how soon the viewer shows an image, and its frames a second while the window is dragged.

    python benchmarks/viewer.py [--screenshot picture.png]

A web process with a database of its own serves a synthetic radiograph of 2500 x 3000 pixels; headless
Chromium shows it by canvas 2D and by WebGL2 (SwiftShader where there is no graphics processor). Needs
chromium and chromedriver. Prints medians of five tries.
"""

import argparse
import base64
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx
from viewer_site import Browser, base_of, chromedriver, seeded, web_process

from service.settings.config import Settings
from service.web.access.transport import SECURE_COOKIE

TRIES: Final = 5
SIZE: Final = (3000, 2500)
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
        images, cookie = seeded(settings, 2 * TRIES, SIZE)
        bases = [base_of(each) for each in images]
        with web_process(settings) as url, chromedriver() as (driver, _):
            began = time.perf_counter()
            headers = {"Cookie": f"{SECURE_COOKIE}={cookie}"}
            httpx.get(f"{url}{bases[0]}voi.json", headers=headers, timeout=60).raise_for_status()
            _say("levels made on demand, s", time.perf_counter() - began)
            browser = Browser(driver, "1020,1240")
            browser.enter(url, cookie)
            for base in bases[1:]:
                httpx.get(f"{url}{base}voi.json", headers=headers, timeout=60).raise_for_status()
            _measure(browser, bases)
            if arguments.screenshot:
                arguments.screenshot.write_bytes(base64.b64decode(browser.get("screenshot")))
            browser.quit()


def _measure(browser: Browser, bases: list[str]) -> None:
    halves = {"canvas": bases[:TRIES], "webgl2": bases[TRIES:]}
    for painter, own in halves.items():
        found = [browser.run(_SHOW, base, painter) for base in own]
        for name, label in (
            ("quarter", "first picture (quarter level), ms"),
            ("half", "next level, ms"),
            ("drag", "window drag, frames/s"),
            ("pan", "pan, frames/s"),
        ):
            _say(f"{painter}: {label}", statistics.median(each[name] for each in found))


def _say(label: str, value: float) -> None:
    sys.stdout.write(f"{label:52} {value:8.2f}\n")


if __name__ == "__main__":
    main()
