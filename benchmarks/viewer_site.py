"""A web process with synthetic radiographs, and headless Chromium: for the benchmarks of the viewer."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import numpy as np

from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Presence,
    SourceImage,
)
from dicom.phantom import as_dataset, draw, write
from dicom.selection.local_files import describe
from dicom.study import Instance
from service.accounts import Role, SessionLimits, new_secret
from service.database import schema
from service.settings.config import Settings, as_environment, child_environment
from service.store import Store
from service.web.access.transport import SECURE_COOKIE

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
)


def seeded(settings: Settings, images: int, size: tuple[int, int]) -> tuple[list[Instance], str]:
    """Return images of (rows, columns) in a new store, and the token of a person's session.

    Each image is the only one of its study. They are phantoms, enlarged four times, with noise.
    """
    schema.upgrade(settings.database_url)
    settings.spool_dir.mkdir(parents=True)
    rows, columns = size
    noise = np.random.default_rng(3).normal(0, 12, size)
    stored = []
    with closing(Store(settings.database_url)) as store:
        for number in range(images):
            dataset = as_dataset(draw(40 + number, rows=rows // 4, columns=columns // 4))
            pixels = np.kron(dataset.pixel_array, np.ones((4, 4), np.uint16))
            top = 2**dataset.BitsStored - 1
            dataset.Rows, dataset.Columns = pixels.shape
            grained = np.clip(pixels + noise[: pixels.shape[0], : pixels.shape[1]], 0, top)
            dataset.PixelData = grained.astype("<u2").tobytes()
            image = describe(write(dataset, settings.spool_dir / f"{number}.dcm"))
            store.add_instance(image, calling_ae="CR1", association_id=str(number), eligible=True)
            stored.append(image)
        return stored, _session(store)


def base_of(image: Instance) -> str:
    """Return the address below which the viewer finds an image, relative to the service's."""
    return f"studies/{image.study_instance_uid}/films/{image.sop_instance_uid}/"


def drafted(settings: Settings, image: Instance, size: tuple[int, int]) -> str:
    """Give an image's study a draft; return the address of its page, relative to the service's."""
    sentences = {
        Observation.CARDIOMEGALY: (Presence.PRESENT, "The cardiac silhouette is enlarged."),
        Observation.PNEUMOTHORAX: (Presence.ABSENT, "No pneumothorax."),
    }
    model = ModelIdentity(name="benchmark", version="1.0", weights_sha256="0" * 64)
    with closing(Store(settings.database_url)) as store:
        job = store.schedule(
            image.study_instance_uid,
            model=model.name,
            version=model.version,
            urgent=False,
            actor="benchmark",
            reason="The image is measured.",
        )
        held = store.claim_reading(job.id, "benchmark", 600) if job else None
        if held is None:
            raise RuntimeError("the study could not be given a draft")
        report = DraftReport(
            study_instance_uid=image.study_instance_uid,
            source=SourceImage(
                sop_instance_uid=image.sop_instance_uid,
                sop_class_uid=image.sop_class_uid,
                series_instance_uid=image.series_instance_uid,
                rows=size[0],
                columns=size[1],
            ),
            revision=held.revision,
            produced_at=datetime.now(UTC),
            findings_text=tuple(sentence for _, sentence in sentences.values()),
            impression_text=("Cardiomegaly.",),
            findings=tuple(
                Finding(observation=each, presence=presence, sentence=sentence, score=0.8)
                for each, (presence, sentence) in sentences.items()
            ),
            model=model,
        )
        store.draft(held.id, held.fence, report, [], [])
        return f"read/{held.id}"


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
def web_process(settings: Settings) -> Iterator[str]:
    """Run a web process; give the address of the service."""
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
def chromedriver() -> Iterator[tuple[str, int]]:
    """Run chromedriver; give its address and the id of its process."""
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
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(10)


class Browser:
    """Headless Chromium by the WebDriver protocol."""

    def __init__(self, driver: str, size: str) -> None:
        self._client = httpx.Client(timeout=180)
        asked = {
            "capabilities": {
                "alwaysMatch": {"goog:chromeOptions": {"args": [*_FLAGS, f"--window-size={size}"]}}
            }
        }
        session = self._client.post(f"{driver}/session", json=asked).raise_for_status().json()
        self._session = f"{driver}/session/{session['value']['sessionId']}"
        self.call("timeouts", script=120_000)

    def call(self, path: str, **body: object) -> Any:  # noqa: ANN401 - whatever JSON has
        """Return the value that a command of the session answers with."""
        answer = self._client.post(f"{self._session}/{path}", json=body)
        return answer.raise_for_status().json()["value"]

    def develop(self, command: str, **parameters: object) -> None:
        """Send a command of Chromium's DevTools protocol."""
        self.call("goog/cdp/execute", cmd=command, params=parameters)

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever JSON has
        """Return what the script passes to its last argument."""
        return self.call("execute/async", script=script, args=list(arguments))

    def get(self, path: str) -> str:
        """Return the value that a question to the session is answered with."""
        return str(self._client.get(f"{self._session}/{path}").raise_for_status().json()["value"])

    def enter(self, url: str, cookie: str) -> None:
        """Open the first page of the service with the session of a person."""
        self.call("url", url=f"{url}login")
        wanted = {"name": SECURE_COOKIE, "value": cookie, "path": "/", "secure": True}
        self.call("cookie", cookie=wanted)
        self.call("url", url=url)

    def quit(self) -> None:
        """End the browser."""
        self._client.delete(self._session)
