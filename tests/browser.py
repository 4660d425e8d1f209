"""Headless Chromium by the WebDriver protocol."""

import base64
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.servers import find_program, take_free_port, wait_until

_BROWSER_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ENTER, _TAB = "\ue007", "\ue004"


class BrowserSession:
    """Headless Chromium by the WebDriver protocol: a person at the pages of a site.

    Attributes:
        url: Root of the site, before the paths that `open` takes.
    """

    def __init__(self, driver: str, profile: Path, url: str, size: str, *flags: str) -> None:
        own = (f"--user-data-dir={profile}", f"--window-size={size}")
        args = [*_BROWSER_FLAGS, *own, *flags]
        match = {"goog:chromeOptions": {"args": args}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url = url
        self._client = httpx.Client(timeout=120)
        made = self._client.post(
            f"{driver}/session", json={"capabilities": {"alwaysMatch": match}}
        ).raise_for_status()
        self._session = f"{driver}/session/{made.json()['value']['sessionId']}"
        self.call("timeouts", script=60_000)

    def call(self, path: str, **body):
        """Return the value that a command of the session answers with."""
        answer = self._client.post(f"{self._session}/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]

    def open(self, path: str) -> None:
        """Load a page of the site."""
        self.call("url", url=self.url + path.lstrip("/"))

    def enter(self, site) -> None:
        """Open a page of the site with the cookie of a person who is logged in."""
        self.call("url", url=f"{site.url}login")
        name, _, value = site.cookie.partition("=")
        secure = name.startswith("__Host-")
        self.call("cookie", cookie={"name": name, "value": value, "path": "/", "secure": secure})
        self.call("url", url=site.url)
        self.faults()  # those of an earlier site, which has stopped

    def run(self, script: str, *arguments):
        """Return what the script returns in the page."""
        return self.call("execute/sync", script=script, args=list(arguments))

    def wait(self, script: str, *arguments):
        """Return what the script passes to its last argument."""
        return self.call("execute/async", script=script, args=list(arguments))

    def text(self, css: str) -> str:
        """Return the text of the first element that matches, "" without one."""
        return self.run(f"return document.querySelector({css!r})?.textContent.trim() ?? ''")

    def click(self, css: str) -> None:
        """Click the first element that matches."""
        found = self.call("element", using="css selector", value=css)[_ELEMENT]
        self.call(f"element/{found}/click")

    def write(self, css: str, text: str) -> None:
        """Type into the first element that matches."""
        found = self.call("element", using="css selector", value=css)[_ELEMENT]
        self.call(f"element/{found}/value", text=text)

    def press(self, *keys: str, held: str = "") -> None:
        """Press keys one after the other, while another one is held."""
        steps = [{"type": "keyDown", "value": held}] if held else []
        for key in keys:
            steps += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        steps += [{"type": "keyUp", "value": held}] if held else []
        self.call("actions", actions=[{"type": "key", "id": "keys", "actions": steps}])

    def log_in(self, login: str, phrase: str, then: str = "/read") -> None:
        """Log in by keys, and come to a page."""
        self.open(f"/login?next={then}")
        for _ in range(12):
            if self.run("return document.activeElement.name") == "name":
                break
            self.press(_TAB)
        self.press(*login, _TAB, *phrase, _ENTER)

    def faults(self) -> list[str]:
        """Return the errors and violations in the console since the last call."""
        entries = self.call("se/log", type="browser")
        return [each["message"] for each in entries if each["level"] == "SEVERE"]

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        answer = self._client.get(f"{self._session}/screenshot").raise_for_status()
        return base64.b64decode(answer.json()["value"])

    def quit(self) -> None:
        """End the browser."""
        self._client.delete(self._session)
        self._client.close()


@contextlib.contextmanager
def chromedriver(folder: Path) -> Iterator[str]:
    """A running chromedriver, as its address; its log lies in `folder`. Skip if there is no browser."""
    find_program("chromium", "google-chrome")
    port = take_free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen(
            [find_program("chromedriver"), f"--port={port}"], stdout=log, stderr=subprocess.STDOUT
        )

    def is_up() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/status").json()["value"]["ready"]
        return False

    try:
        wait_until(is_up, seconds=20, what="chromedriver")
        yield url
    finally:
        process.terminate()
        process.wait(10)
