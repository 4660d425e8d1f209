"""Headless Chromium for the pages of a radiologist: keys, several persons, what the console holds."""

import base64
import contextlib
import subprocess
from pathlib import Path

import httpx
import pytest

from service.accounts import Role

_FLAGS = (
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
ENTER, TAB, ESCAPE, CONTROL = "\ue007", "\ue004", "\ue00c", "\ue009"


class Person:
    """A person at a browser of their own."""

    def __init__(self, driver: str, profile: Path, url: str, size: str) -> None:
        args = [*_FLAGS, f"--user-data-dir={profile}", f"--window-size={size}"]
        match = {"goog:chromeOptions": {"args": args}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url = url
        self._client = httpx.Client(timeout=60)
        made = self._client.post(
            f"{driver}/session", json={"capabilities": {"alwaysMatch": match}}
        ).raise_for_status()
        self._session = f"{driver}/session/{made.json()['value']['sessionId']}"

    def call(self, path: str, **body):
        """Return the value that a command of the session answers with."""
        answer = self._client.post(f"{self._session}/{path}", json=body).raise_for_status()
        return answer.json()["value"]

    def open(self, path: str) -> None:
        """Load a page of the site."""
        self.call("url", url=self.url + path.lstrip("/"))

    def run(self, script: str):
        """Return what the script returns in the page."""
        return self.call("execute/sync", script=script, args=[])

    def text(self, css: str) -> str:
        """Return the text of the first element that matches, "" without one."""
        return self.run(f"return document.querySelector({css!r})?.textContent.trim() ?? ''")

    def click(self, css: str) -> None:
        """Click the first element that matches."""
        found = self.call("element", using="css selector", value=css)[_ELEMENT]
        self.call(f"element/{found}/click")

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
            self.press(TAB)
        self.press(*login, TAB, *phrase, ENTER)

    def faults(self) -> list[str]:
        """Return what the console holds: errors of scripts, violations of the policy."""
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


@pytest.fixture
def driver(tmp_path, free_port, eventually, program):
    """The address of a chromedriver."""
    program("chromium", "google-chrome")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen(
            [program("chromedriver"), f"--port={port}"], stdout=log, stderr=subprocess.STDOUT
        )

    def is_up() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/status").json()["value"]["ready"]
        return False

    eventually(is_up, seconds=20, what="chromedriver")
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture
def reading_site(make_site):
    """A site with a name, which a verified report must state."""
    return make_site(site_name="St. Example Hospital")


@pytest.fixture
def person(driver, reading_site, cookie_of, tmp_path, eventually):
    """A function that returns a radiologist, logged in, at a browser of their own."""
    opened = []

    def make(login="roentgen", display_name="Wilhelm Röntgen", then="/read", size="1400,900"):
        cookie_of(reading_site.store, Role.RADIOLOGIST, login=login, display_name=display_name)
        made = Person(driver, tmp_path / login, reading_site.url, size)
        opened.append(made)
        made.log_in(login, "correct horse battery", then)
        path = "return location.pathname"
        eventually(lambda: made.run(path) == then, seconds=20, what="the page after the login")
        return made

    yield make
    for each in opened:
        each.quit()
