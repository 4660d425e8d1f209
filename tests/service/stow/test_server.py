"""`wetread receive-web` as a process: killed, stopped, and fed more than its memory may grow."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom.phantom import as_dataset, draw, write
from dicom.spool.spool import has_digest, parse_file_name
from service.store import Store
from service.tokens import Scope, mint
from tests.databases import make_database

REPOSITORY = Path(__file__).parents[3]
BOUNDARY = "frontier"


class Process:
    """A `wetread receive-web` in a folder of its own, restarted any number of times."""

    def __init__(self, folder: Path, eventually) -> None:
        self.folder = folder
        self._eventually = eventually
        self.process: subprocess.Popen[str] | None = None
        make_database(f"sqlite:///{folder / 'wetread.db'}")
        self.store = Store(f"sqlite:///{folder / 'wetread.db'}")
        self.token, credential = mint()
        self.store.add_token(
            credential,
            name="router",
            scopes=frozenset({Scope.STOW}),
            ae_title="MODALITY",
            expires_at=None,
            actor="test",
        )

    @property
    def spool(self) -> Path:
        """Where images lie."""
        return self.folder / "spool"

    def start(self, **settings: str) -> str:
        """Start it with these besides; return the address for images once it answers."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD")}
        ours = {
            "WETREAD_DATA_DIR": str(self.folder),
            "WETREAD_STOW__PORT": "0",
            "WETREAD_RECEIVER__CALLERS": '[{"ae_title": "MODALITY"}]',
            "WETREAD_RECEIVER__MIN_FREE_BYTES": "0",
            "WETREAD_BROKER__URL": "redis://127.0.0.1:1/0",
            **settings,
        }
        address = self.folder / "run" / "receive-web.json"
        address.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "receive-web"],
                cwd=REPOSITORY,
                env={**clean, **ours},
                stdout=log,
                stderr=log,
            )
        self._eventually(address.exists, seconds=60, what="the address")
        url = json.loads(address.read_text())["url"]
        self._eventually(lambda: self._answers(url), seconds=60, what="the first answer")
        return f"{url}dicom-web/studies"

    def _answers(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}healthz").status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals) -> int:
        """Send a signal; return how it ended."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def peak_kib(self) -> int:
        """Return its highest resident memory so far."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found
        return int(found[1])

    def post(self, url: str, content) -> httpx.Response:
        """Send a body."""
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        return httpx.post(url, content=content, headers=headers, timeout=60)


@pytest.fixture
def receiver(tmp_path, eventually):
    """A `wetread receive-web` that has not been started."""
    process = Process(tmp_path, eventually)
    yield process
    if process.process is not None:
        process.process.kill()
        process.process.wait()
    process.store.close()


def head(number: int) -> bytes:
    """Return an image's part up to where its pixels' value begins; 100 MB of them are announced."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"2.25.78.{number}.1"
    dataset.StudyInstanceUID = f"2.25.78.{number}"
    dataset.SeriesInstanceUID = f"2.25.78.{number}.2"
    dataset.Modality = "DX"
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    start = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return start + file.getvalue()


def pixels(size: int) -> bytes:
    """Return the element's tag, VR and length."""
    return b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")


def image(number: int, size: int = 40_000) -> bytes:
    """Return the part of a whole image."""
    return head(number) + pixels(size) + number.to_bytes(4, "little") * (size // 4) + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def test_what_was_acknowledged_outlives_a_kill(receiver):
    """Four senders, killed at random moments: each acknowledged image is there, none is half."""
    url = receiver.start()
    acknowledged: list[int] = []
    enough = threading.Event()

    def send(first: int) -> None:
        for number in range(first, first + 400):
            try:
                answer = receiver.post(url, image(number, size=400_000) + END)
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                acknowledged.append(number)
            if len(acknowledged) >= 30:
                enough.set()

    senders = [threading.Thread(target=send, args=(first,)) for first in (1, 1001, 2001, 3001)]
    for each in senders:
        each.start()
    assert enough.wait(60)
    assert receiver.end(signal.SIGKILL) == -signal.SIGKILL
    for each in senders:
        each.join()
    rows = {number: receiver.store.spooled(f"2.25.78.{number}") for number in acknowledged}
    assert all(len(found) == 1 for found in rows.values())
    assert all(has_digest(found[0].path, found[0].digest) for found in rows.values())
    receiver.start()
    assert list((receiver.spool / "tmp").iterdir()) == []
    # An image without an answer may exist, but then it and its row are complete.
    files = list(receiver.spool.glob("??/*.dcm"))
    assert all(has_digest(file, parse_file_name(file.name)[1]) for file in files)


def test_a_hangup_has_the_callers_taken_anew(receiver):
    """SIGHUP, which ends a program without a handler, makes it read the settings again."""
    receiver.start()
    receiver.process.send_signal(signal.SIGHUP)
    log = receiver.folder / "log"
    receiver._eventually(
        lambda: "callers_reloaded" in log.read_text(), seconds=60, what="callers taken anew"
    )
    assert receiver.end(signal.SIGTERM) == 0


def test_a_stop_lets_a_running_request_finish(receiver, eventually):
    """SIGTERM in the middle of a body: it is stored and answered, then the process ends with 0."""
    url = receiver.start()
    begun, stopped = threading.Event(), threading.Event()

    def content():
        yield image(1, size=1_200_000)[:1_000_000]
        begun.set()
        stopped.wait(20)
        yield image(1, size=1_200_000)[1_000_000:] + image(2) + END

    def stop() -> None:
        begun.wait(20)
        eventually(lambda: any(receiver.spool.glob("tmp/*")), seconds=20, what="the first bytes")
        receiver.process.send_signal(signal.SIGTERM)
        stopped.set()

    thread = threading.Thread(target=stop)
    thread.start()
    assert receiver.post(url, content()).status_code == 200
    thread.join()
    assert receiver.process.wait(60) == 0
    assert len(list(receiver.spool.glob("??/*.dcm"))) == 2
    assert receiver.store.processes() == []
    assert not (receiver.folder / "run" / "receive-web.json").exists()


def test_a_stop_cuts_short_a_request_that_does_not_end(receiver, eventually):
    """A complete part is kept, the sender gets 503, the log has a line and no traceback."""
    url = receiver.start(WETREAD_RECEIVER__STOP_SECONDS="1")
    released = threading.Event()

    def content():
        yield image(1) + image(2, size=1_200_000)[:1_000_000]
        released.wait(20)

    def stop() -> None:
        eventually(lambda: kept(receiver) == 1, seconds=20, what="the first image")
        receiver.process.send_signal(signal.SIGTERM)
        eventually(lambda: "request_canceled" in log.read_text(), seconds=20, what="the end")
        released.set()

    log = receiver.folder / "log"
    thread = threading.Thread(target=stop)
    thread.start()
    answer = receiver.post(url, content())
    thread.join()
    assert (answer.status_code, "Send again what was not acknowledged" in answer.text) == (
        503,
        True,
    )
    assert receiver.process.wait(20) == 0
    assert kept(receiver) == 1
    assert not list(receiver.spool.glob("tmp/*"))
    assert log.read_text().count("request_canceled") == 1
    assert "Traceback" not in log.read_text()


def kept(receiver) -> int:
    """Return how many images lie in the spool."""
    return len(list(receiver.spool.glob("??/*.dcm")))


def test_memory_does_not_grow_with_what_is_sent(receiver):
    """An image of 100 MB and two hundred small ones in a request: a few MiB more than for one image."""
    url = receiver.start()
    assert receiver.post(url, image(1) + END).status_code == 200
    before = receiver.peak_kib()

    def long():
        yield head(2) + pixels(100_000_000)
        for _ in range(100):
            yield bytes(1_000_000)
        yield b"\r\n" + END

    assert receiver.post(url, long()).status_code == 200
    small = b"".join(image(number) for number in range(100, 300)) + END
    assert receiver.post(url, small).status_code == 200
    assert receiver.peak_kib() - before < 32 * 1024
    log = (receiver.folder / "log").read_text()
    assert "PHANTOM" not in log
    assert receiver.token not in log


def test_without_a_port_there_is_no_endpoint(tmp_path):
    """A message that names the setting, and exit status 1."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD")}
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "receive-web"],
        cwd=REPOSITORY,
        env={**clean, "WETREAD_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "stow.port" in done.stderr) == (1, True)


def test_the_lines_of_the_page_send_files_with_curl(receiver, tmp_path, program):
    """The example of docs/api.md, run by a shell unchanged, stores both files."""
    program("curl")
    page = (REPOSITORY / "docs" / "api.md").read_text()
    (lines,) = [
        each for each in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "printf" in each
    ]
    url = receiver.start()
    lines = re.sub(r"^URL=\S+", f"URL={url}", lines, flags=re.MULTILINE)
    lines = re.sub(r"^TOKEN=\S+", f"TOKEN={receiver.token}", lines, flags=re.MULTILINE)
    sending = tmp_path / "sending"
    sending.mkdir()
    uids = set()
    for seed, name in ((1, "a.dcm"), (2, "b.dcm")):
        dataset = as_dataset(draw(seed, rows=64, columns=64))
        write(dataset, sending / name)
        uids.add(str(dataset.SOPInstanceUID))
    result = subprocess.run(["sh", "-euc", lines], cwd=sending, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    stored = json.loads(result.stdout)["00081199"]["Value"]
    assert {each["00081155"]["Value"][0] for each in stored} == uids
    assert receiver.store.known_instances(uids) == uids
    assert receiver.end(signal.SIGTERM) == 0
