"""The STOW-RS endpoint: real clients, sockets, spool and database."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from service.database import schema
from service.queue.job_queue import Queue
from service.receiver.calling_aes import CallingAEs
from service.settings.config import Settings, load_settings
from service.store import Store
from service.stow import upload
from service.stow.server import StowServer, make_app, make_stow_context
from service.system.disk_space import Watermark
from service.tokens import Scope, mint
from service.web import timeouts
from service.web.server import address_of, bind

MULTIPART = 'multipart/related; type="application/dicom"; boundary=frontier'
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
FAILED, REFERENCED, OTHER = "00081198", "00081199", "0008119A"


@dataclass
class RunningEndpoint:
    """A running STOW-RS endpoint, its store and what a test sends to it."""

    url: str
    store: Store
    settings: Settings
    context: object
    token: str

    @property
    def studies(self) -> str:
        """The address to which images are posted."""
        return f"{self.url}dicom-web/studies"

    def post(self, content, *, path="", **headers) -> httpx.Response:
        """Send a body with the good token, multipart and JSON unless said otherwise."""
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": MULTIPART}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in given.items() if value is not None}
        return httpx.post(self.studies + path, content=content, headers=given, timeout=30)

    def images(self) -> list[Path]:
        """Return what is kept in the spool."""
        return sorted(self.settings.spool_dir.glob("??/*.dcm"))

    def leftovers(self) -> list[Path]:
        """Return what is half written."""
        return list((self.settings.spool_dir / "tmp").iterdir())


def add_token(store, name="router", scope=Scope.STOW, ae_title="MODALITY", expires_at=None):
    """Return the value of a new token."""
    value, credential = mint()
    store.add_token(
        credential,
        name=name,
        scopes=frozenset({scope}),
        ae_title=ae_title if scope is Scope.STOW else "",
        expires_at=expires_at,
        actor="test",
    )
    return value


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    """An SQLite file at the current revision, to be copied."""
    file = tmp_path_factory.mktemp("empty") / "wetread.db"
    schema.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def make_endpoint_at(tmp_path, empty_database):
    """A function that starts an endpoint on a free port with the given settings."""
    stops = []

    def start(**overrides) -> RunningEndpoint:
        given = {
            "data_dir": tmp_path / f"site{len(stops)}",
            "receiver": {"min_free_bytes": 0, "callers": [{"ae_title": "MODALITY"}]},
            "broker": {"url": "redis://127.0.0.1:1/0"},
            "stow": {"port": 0},
        }
        settings = Settings(**{**given, **overrides})
        settings.spool_dir.mkdir(parents=True)
        shutil.copy(empty_database, settings.data_dir)
        store, queue = Store.open(settings), Queue(settings)
        callers = CallingAEs(settings, None, load_settings)
        context = make_stow_context(settings, store, queue, callers)
        server = StowServer(make_app(context, store, callers), settings)
        listener = bind("127.0.0.1", 0, section="stow")
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(20)
            context.reception.close()
            queue.close()
            store.close()
            assert not thread.is_alive()

        stops.append(stop)
        scheme = "https" if settings.stow.tls_certificate else "http"
        return RunningEndpoint(
            address_of(listener, scheme), store, settings, context, add_token(store)
        )

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def endpoint(make_endpoint_at) -> RunningEndpoint:
    """A running endpoint with an empty store."""
    return make_endpoint_at()


def image(number: int, *, study: int | str = 1, side: int = 64) -> bytes:
    """Return a small DX image as a PS3.10 file."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = f"2.25.77.{study}.{number}"
    dataset.StudyInstanceUID = f"2.25.77.{study}"
    dataset.SeriesInstanceUID = f"2.25.77.{study}.0"
    dataset.PatientName, dataset.PatientID = "PHANTOM^STOW", "PHANTOM-STOW"
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.SamplesPerPixel, dataset.Rows, dataset.Columns = 1, side, side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    noise = np.random.default_rng(number).integers(0, 4096, (side, side), dtype="<u2")
    dataset.PixelData = noise.tobytes()
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def body(*parts: bytes, boundary: str = "frontier") -> bytes:
    """Return a multipart body of PS3.10 files."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join([*(head + part + b"\r\n" for part in parts), f"--{boundary}--\r\n".encode()])


def data_set_of(content: bytes) -> bytes:
    """Return what follows the file meta group."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


def reasons(response: httpx.Response) -> list[int]:
    """Return the failure reasons of a response, in their order."""
    answer = response.json()
    items = [item for tag in (FAILED, OTHER) for item in answer.get(tag, {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


def test_an_image_is_stored_byte_for_byte_and_its_study_becomes_a_job(endpoint, eventually):
    """200, one file with the same data set, one row, and a job although nobody waited."""
    content = image(1)
    response = endpoint.post(body(content))
    assert response.status_code == 200
    (item,) = response.json()[REFERENCED]["Value"]
    assert item["00081155"]["Value"] == ["2.25.77.1.1"]
    assert response.json()["00081190"] == {"vr": "UR"}
    (kept,) = endpoint.images()
    assert data_set_of(kept.read_bytes()) == data_set_of(content)
    (row,) = endpoint.store.instances("2.25.77.1")
    assert row.calling_ae == "MODALITY"
    assert endpoint.leftovers() == []
    eventually(lambda: endpoint.store.jobs(study="2.25.77.1"), seconds=20, what="the job")
    assert endpoint.store.jobs(study="2.25.77.1")[0].calling_ae == "MODALITY"


def test_curl_stores_in_pieces_of_unknown_number(endpoint, tmp_path):
    """A chunked body, announced by Expect: 100-continue, through curl."""
    curl = shutil.which("curl") or pytest.skip("curl is not installed")
    (tmp_path / "body").write_bytes(body(image(1, side=1500), image(2)))
    heads = [f"Authorization: Bearer {endpoint.token}", f"Content-Type: {MULTIPART}"]
    heads += ["Transfer-Encoding: chunked", "Expect: 100-continue"]
    given = [word for head in heads for word in ("-H", head)]
    command = [
        curl,
        "-sS",
        "-w",
        "%{http_code}",
        *given,
        "-T",
        str(tmp_path / "body"),
        "-X",
        "POST",
    ]
    done = subprocess.run([*command, endpoint.studies], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("200"), done
    assert len(endpoint.images()) == 2


def test_dicomweb_client_stores_and_understands_the_answer(endpoint):
    """The client that imaging scientists use; the study stands in the address, too."""
    client = DICOMwebClient(
        f"{endpoint.url}dicom-web", headers={"Authorization": f"Bearer {endpoint.token}"}
    )
    images = [dcmread(BytesIO(image(number))) for number in (1, 2)]
    answer = client.store_instances(images, study_instance_uid="2.25.77.1")
    stored = [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence]
    assert stored == ["2.25.77.1.1", "2.25.77.1.2"]


def test_real_images_keep_their_bytes_and_their_transfer_syntax(make_endpoint_at, shared_data):
    """All images of the collection in one request; only the one without a file meta group fails."""
    callers = [{"ae_title": "MODALITY"}]
    receiver = {"min_free_bytes": 0, "callers": callers, "storage_classes": [SECONDARY_CAPTURE]}
    endpoint = make_endpoint_at(receiver=receiver)
    files = sorted((shared_data / "cxr-dicom").glob("*.dcm"))
    contents = [file.read_bytes() for file in files]
    response = endpoint.post(body(*contents))
    assert response.status_code == 202
    refused = [file.name for file in files if "headless" in file.name]
    assert reasons(response) == [0xC000] * len(refused)
    kept = {
        hashlib.sha256(data_set_of(each.read_bytes())).hexdigest() for each in endpoint.images()
    }
    sent = {
        hashlib.sha256(data_set_of(content)).hexdigest()
        for file, content in zip(files, contents, strict=True)
        if file.name not in refused
    }
    assert kept == sent
    syntaxes = {
        dcmread(each, specific_tags=[]).file_meta.TransferSyntaxUID for each in endpoint.images()
    }
    assert len(syntaxes) > 8


def test_every_odd_file_is_stored_or_refused_and_nothing_is_left(endpoint, shared_data):
    """Malformed, hostile and foreign files: a reason of the Standard each, never a fault of ours."""
    files = [each for each in sorted((shared_data / "edge-cases").rglob("*")) if each.is_file()]
    response = endpoint.post(body(*(file.read_bytes() for file in files)))
    assert response.status_code == 202
    found = reasons(response)
    stored = response.json()[REFERENCED]["Value"]
    assert len(found) + len(stored) == len(files) > 100
    assert set(found) <= {0xA900, 0xC000, 0xC122, 0x0122}
    counted = sum(endpoint.store.refusal_totals().values())
    assert counted == found.count(0x0122) + found.count(0xC122) > 0
    assert endpoint.leftovers() == []
    assert endpoint.post(body(image(1))).status_code == 200


def test_the_same_image_again_changes_nothing(endpoint):
    """A router that sends twice hears 200 twice; one file, one row."""
    assert [endpoint.post(body(image(1), image(1))).status_code for _ in range(2)] == [200, 200]
    assert len(endpoint.images()) == len(endpoint.store.instances("2.25.77.1")) == 1


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Basic YTpi", 401), ("Bearer nonsense", 401), ("read", 403), ("stranger", 403)],
)
def test_without_the_right_token_nothing_is_read(endpoint, authorization, status):
    """No token, another scheme, a wrong one, one that may only read, one of an unknown caller."""
    if authorization == "read":
        authorization = f"Bearer {add_token(endpoint.store, 'monitor', Scope.READ)}"
    elif authorization == "stranger":
        authorization = f"Bearer {add_token(endpoint.store, 'other', ae_title='STRANGER')}"
    response = endpoint.post(body(image(1)), Authorization=authorization)
    assert response.status_code == status
    assert ("WWW-Authenticate" in response.headers) == (
        authorization is None or "wetread_" not in authorization or "scope" in response.text
    )
    assert endpoint.images() == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("application/dicom", 415),
        ("multipart/form-data; boundary=frontier", 415),
        ("multipart/related; boundary=frontier", 415),
        ('multipart/related; type="application/dicom+json"; boundary=frontier', 415),
        ('multipart/related; type="application/dicom"', 400),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 129}', 400),
        (f'multipart/related; type="application/dicom"; boundary="{"x" * 50_000}"', 400),
    ],
)
def test_a_body_of_another_kind_is_refused_before_it_is_read(endpoint, content_type, status):
    """415 for what is no multipart of PS3.10 files, 400 where its boundary is none."""
    assert endpoint.post(body(image(1)), Content_Type=content_type).status_code == status
    assert endpoint.images() == []


def test_odd_requests_are_refused(endpoint):
    """A megabyte of boundary, a compressed body, a study that is none, another method."""
    long = f'multipart/related; type="application/dicom"; boundary="{"x" * 2**20}"'
    with contextlib.suppress(httpx.ReadError, httpx.WriteError):  # or closed while it still sends
        assert endpoint.post(b"", Content_Type=long).status_code == 400
    assert endpoint.post(body(image(1)), Content_Encoding="gzip").status_code == 415
    assert endpoint.post(body(image(1)), path="/..%2f1").status_code in {400, 404}
    assert endpoint.post(body(image(1)), path="/1..3").status_code == 400
    assert httpx.get(endpoint.studies).status_code == 405
    assert endpoint.images() == []


GOOD = b"--frontier\r\nContent-Type: application/dicom\r\n\r\n" + image(1) + b"\r\n"


@pytest.mark.parametrize(
    ("content", "status", "kept"),
    [
        (b"", 400, 0),
        (b"--frontier--\r\n", 400, 0),
        (GOOD, 400, 0),
        (GOOD + b"--frontier\r\n\r\n" + image(2)[:4000], 400, 1),
        (GOOD + b"--frontier\r\nX: " + b"x" * 100_000, 400, 1),
        (GOOD + b"--frontier\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 400, 1),
        (
            b"--frontier\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--frontier--",
            409,
            0,
        ),
        (b"--frontier\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--frontier--", 409, 0),
        (body(b""), 409, 0),
        (body(image(1)[:200]), 409, 0),
        (body(image(1)[:128] + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" + b"1" * 70_000), 409, 0),
    ],
)
def test_a_broken_body_leaves_only_its_whole_parts(endpoint, content, status, kept):
    """What came whole is kept, as its sender may have to be told again; nothing half is."""
    assert endpoint.post(content).status_code == status
    assert len(endpoint.images()) == kept
    assert endpoint.leftovers() == []


def test_ten_thousand_parts_are_too_many(endpoint):
    """413 after the last part that is taken, and nothing held for the rest."""
    assert endpoint.post(body(*[b"x"] * 10_000)).status_code == 413
    assert endpoint.leftovers() == []


def test_a_body_that_is_too_long_is_refused_however_it_comes(make_endpoint_at):
    """By its Content-Length before it is read, in chunks when it has become too long."""
    endpoint = make_endpoint_at(stow={"port": 0, "max_request_bytes": 2**20})
    long = body(image(1), image(2, side=1000))
    assert endpoint.post(long).status_code == 413
    assert endpoint.images() == []
    pieces = (long[at : at + 65536] for at in range(0, len(long), 65536))
    assert endpoint.post(pieces).status_code == 413
    assert endpoint.leftovers() == []


def test_an_object_that_is_too_long_fails_alone(make_endpoint_at):
    """A limit of 1 MiB an object: the long one fails, those around it are stored."""
    receiver = {
        "min_free_bytes": 0,
        "max_object_bytes": 2**20,
        "callers": [{"ae_title": "MODALITY"}],
    }
    endpoint = make_endpoint_at(receiver=receiver)
    response = endpoint.post(body(image(1), image(2, side=1000), image(3)))
    assert (response.status_code, reasons(response)) == (202, [0xC000])
    assert len(endpoint.images()) == 2
    assert endpoint.leftovers() == []


def test_an_image_of_another_study_than_the_address_names_is_refused(endpoint):
    """409 with the reason; the same image is taken where it belongs."""
    response = endpoint.post(body(image(1)), path="/2.25.77.2")
    assert (response.status_code, reasons(response)) == (409, [0xA900])
    assert endpoint.images() == []
    assert endpoint.post(body(image(1)), path="/2.25.77.1").status_code == 200


def test_leading_zeros_of_uids_are_kept(endpoint):
    """In the address, in the file and in the answer, although PS3.5 9.1 forbids them."""
    response = endpoint.post(body(image(1, study="007.01")), path="/2.25.77.007.01")
    assert response.status_code == 200
    (item,) = response.json()[REFERENCED]["Value"]
    assert item["00081155"]["Value"] == ["2.25.77.007.01.1"]
    (row,) = endpoint.store.instances("2.25.77.007.01")
    assert row.sop_instance_uid == "2.25.77.007.01.1"


def test_what_the_file_states_of_itself_must_be_true(endpoint):
    """Another SOP Class, transfer syntax or instance than accepted or announced: its own reason."""

    def changed(was: bytes, now: bytes) -> bytes:
        """Change the file meta group only, where the value is found first."""
        assert len(was) == len(now)
        return image(1).replace(was, now, 1)

    parts = [
        changed(b"1.2.840.10008.5.1.4.1.1.1.1\0", b"1.2.840.10008.5.1.4.1.1.2\0\0\0"),
        changed(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"),
        changed(b"2.25.77.1.1\0", b"2.25.77.1.9\0"),
        changed(b"2.25.77.1.1\0", b"../../../x/\0"),
    ]
    response = endpoint.post(body(*parts))
    assert (response.status_code, reasons(response)) == (409, [0x0122, 0xC122, 0xA900, 0xA900])
    assert "../" not in response.text
    assert endpoint.images() == []


def test_a_caller_has_its_rate_and_its_urgency_here_too(make_endpoint_at, eventually):
    """Two images a minute: the third is to be sent again; the study overtakes."""
    caller = {"ae_title": "MODALITY", "films_per_minute": 2, "priority": "urgent"}
    endpoint = make_endpoint_at(receiver={"min_free_bytes": 0, "callers": [caller]})
    response = endpoint.post(body(image(1), image(2), image(3)))
    assert (response.status_code, reasons(response)) == (202, [0xA700])
    again = endpoint.post(body(image(3)))
    assert (again.status_code, again.headers["Retry-After"]) == (503, "10")
    eventually(lambda: endpoint.store.jobs(study="2.25.77.1"), seconds=20, what="the job")
    assert endpoint.store.jobs(study="2.25.77.1")[0].urgent


def test_a_disk_that_was_full_is_left_as_late_as_by_the_other_endpoint(make_endpoint_at):
    """Until a tenth more than the limit is free, or images would be let in and refused in turn."""
    receiver = {"min_free_bytes": 1_000_000, "callers": [{"ae_title": "MODALITY"}]}
    endpoint = make_endpoint_at(receiver=receiver)
    free = [0]
    endpoint.context.reception._disk = Watermark(endpoint.settings, lambda _: free[0])
    for free[0], status in [(999_999, 503), (1_099_999, 503), (1_100_000, 200), (1_000_000, 200)]:
        assert endpoint.post(body(image(1))).status_code == status
        assert httpx.get(f"{endpoint.url}readyz").status_code == status


def raw(endpoint, head: bytes) -> socket.socket:
    """Return a connection on which a request's head has been sent."""
    host, port = endpoint.url.split("/")[2].split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    start = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {endpoint.token}\r\n"
    )
    connection.sendall(f"{start}Content-Type: {MULTIPART}\r\n".encode() + head + b"\r\n\r\n")
    return connection


def test_a_full_disk_is_reported_before_the_body_is_sent(make_endpoint_at):
    """503 with Retry-After, and no 100 Continue before it."""
    receiver = {"min_free_bytes": 2**60, "callers": [{"ae_title": "MODALITY"}]}
    endpoint = make_endpoint_at(receiver=receiver)
    with raw(endpoint, b"Content-Length: 1000000\r\nExpect: 100-continue") as connection:
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 10" in answer.lower()


def test_a_disk_that_fills_up_keeps_nothing_half(small_disk, make_endpoint_at):
    """An image longer than the room that is left: 503, nothing of it stays, a short one is taken."""
    endpoint = make_endpoint_at(data_dir=small_disk / "site")
    response = endpoint.post(body(image(1, side=1200)))
    assert (response.status_code, reasons(response)) == (503, [0xA700])
    assert endpoint.leftovers() == endpoint.images() == []
    assert endpoint.post(body(image(2))).status_code == 200


def test_an_early_answer_reaches_who_sends_on_all_the_same(endpoint):
    """20 MB behind a wrong token: the sender reads 401, not a broken connection."""
    long = body(image(1, side=3200))
    for _ in range(3):
        response = endpoint.post(long, Authorization="Bearer wrong")
        assert (response.status_code, response.headers["Connection"]) == (401, "close")


def test_a_database_that_takes_nothing_is_reported_and_nothing_is_kept(make_endpoint_at):
    """Another program holds SQLite's only writer: 503, no file; afterwards all is well by itself."""
    endpoint = make_endpoint_at(database={"busy_seconds": 0.2})
    assert endpoint.post(body(image(1))).status_code == 200
    other = sqlite3.connect(endpoint.settings.data_dir / "wetread.db")
    other.execute("BEGIN IMMEDIATE")
    refused = endpoint.post(body(image(2)))
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert len(endpoint.images()) == 1
    other.rollback()
    other.close()
    wait = threading.Event()
    while endpoint.post(body(image(2))).status_code != 200:
        wait.wait(0.1)
    assert len(endpoint.images()) == 2


def test_a_sender_that_goes_away_leaves_only_what_came_whole(endpoint, eventually):
    """A Content-Length that lies, and the connection closed: the whole part stays, the half does not."""
    with raw(endpoint, b"Content-Length: 50000000") as connection:
        connection.sendall(GOOD + b"--frontier\r\n\r\n" + image(2, side=1500))
        eventually(lambda: len(endpoint.leftovers()) == 1, seconds=20, what="the second image")
    eventually(lambda: not endpoint.leftovers(), seconds=20, what="the end")
    assert len(endpoint.images()) == 1
    assert endpoint.store.jobs() == []
    assert endpoint.post(body(image(3))).status_code == 200


def test_a_sender_that_is_too_slow_is_informed(endpoint, monkeypatch):
    """408 when it kept us waiting for longer than its bytes were worth."""
    monkeypatch.setattr(upload, "_WAIT_SECONDS", 0.3)
    with raw(endpoint, b"Content-Length: 50000") as connection:
        connection.sendall(b"--frontier\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408")


def test_silent_connections_end_and_keep_no_one_out(endpoint, monkeypatch):
    """Three hundred of them, some with half a head: the next sender is served, then all are closed."""
    monkeypatch.setattr(timeouts, "_REQUEST_SECONDS", 1.0)
    host, port = endpoint.url.split("/")[2].split(":")
    silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(300)]
    for each in silent[::3]:
        each.send(b"POST /dicom-web/studies HTTP/1.1\r\nX: ")
    assert endpoint.post(body(image(1))).status_code == 200

    def ended(each: socket.socket) -> bool:
        try:
            return each.recv(1) == b""
        except ConnectionResetError:
            return True

    assert all(ended(each) for each in silent)
    for each in silent:
        each.close()


def test_of_too_many_silent_connections_the_oldest_end(endpoint, monkeypatch):
    """Whatever its timeouts, it holds a limited number of connections; the newest stay."""
    monkeypatch.setattr(timeouts, "_MOST_SILENT", 10)
    host, port = endpoint.url.split("/")[2].split(":")
    silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(40)]
    for each in silent[:30]:
        with contextlib.suppress(ConnectionResetError):
            assert each.recv(1) == b""
    silent[-1].setblocking(False)
    with pytest.raises(BlockingIOError):
        silent[-1].recv(1)
    for each in silent:
        each.close()


def test_one_connection_too_many_is_closed(endpoint, monkeypatch, eventually):
    """However the others keep theirs open: refused, silent, or slow."""
    monkeypatch.setattr(timeouts, "_MOST_OPEN", 10)
    host, port = endpoint.url.split("/")[2].split(":")
    held = [socket.create_connection((host, int(port)), timeout=20) for _ in range(10)]
    for each in held:
        each.send(b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert each.recv(65536).startswith(b"HTTP/1.1 401")
    more = socket.create_connection((host, int(port)), timeout=5)
    with contextlib.suppress(ConnectionResetError):
        assert more.recv(1) == b""
    for each in (*held, more):
        each.close()

    def is_served():
        with contextlib.suppress(httpx.TransportError):
            return endpoint.post(body(image(1))).status_code == 200

    eventually(is_served, seconds=10, what="the next sender is served")


def test_more_requests_than_are_taken_are_asked_to_retry(make_endpoint_at):
    """One at a time: the second is 503 at once; when the first has ended it is served."""
    endpoint = make_endpoint_at(stow={"port": 0, "max_requests": 1})
    with raw(endpoint, b"Content-Length: 50000"):
        while not endpoint.context.running:
            pass
        assert endpoint.post(body(image(1))).status_code == 503
    while (status := endpoint.post(body(image(1))).status_code) == 503:
        pass
    assert status == 200


def test_requests_at_the_same_time_lose_and_mix_nothing(endpoint):
    """Eight senders, five images each: forty files, each with the bytes that were sent."""
    sent = {number: image(number, study=number) for number in range(1, 41)}
    answers = []

    def send(first: int) -> None:
        parts = [sent[number] for number in range(first, first + 5)]
        answers.append(endpoint.post(body(*parts)).status_code)

    senders = [threading.Thread(target=send, args=(first,)) for first in range(1, 41, 5)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    assert answers == [200] * 8
    kept = sorted(data_set_of(each.read_bytes()) for each in endpoint.images())
    assert kept == sorted(map(data_set_of, sent.values()))


def test_the_answer_comes_as_xml_to_who_asks_for_it(endpoint):
    """Accept: application/dicom+xml; anything else gets JSON."""
    response = endpoint.post(body(image(1)), Accept="application/dicom+xml")
    assert response.headers["Content-Type"] == "application/dicom+xml"
    assert '<Value number="1">2.25.77.1.1</Value>' in response.text
    assert json.loads(endpoint.post(body(image(1)), Accept="*/*").text)


def test_the_probes_need_no_token(endpoint):
    """/healthz and /readyz, for who supervises the process."""
    assert httpx.get(f"{endpoint.url}healthz").status_code == 200
    assert httpx.get(f"{endpoint.url}readyz").json() == {"status": "ready", "fault": ""}


def test_a_tls_port_takes_a_renewed_certificate(make_endpoint_at, tmp_path):
    """HTTPS with the certificate of the files, and with their successor once they are replaced."""
    openssl = shutil.which("openssl") or pytest.skip("openssl is not installed")

    def certify(folder: str) -> Path:
        (tmp_path / folder).mkdir()
        command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        command += ["-nodes", "-days", "2", "-subj", f"/CN={folder}"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out", "pem"]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path / folder)
        return tmp_path / folder

    first, second = certify("first"), certify("second")
    stow = {"port": 0, "tls_certificate": first / "pem", "tls_key": first / "key"}
    endpoint = make_endpoint_at(stow=stow)

    def trusting(folder: str) -> int:
        trust = ssl.create_default_context(cafile=trusted[folder])
        return httpx.get(f"{endpoint.url}healthz", verify=trust).status_code

    trusted = {
        folder: shutil.copy(tmp_path / folder / "pem", tmp_path / f"{folder}.pem")
        for folder in ("first", "second")
    }
    assert trusting("first") == 200
    with pytest.raises(httpx.ConnectError):
        trusting("second")
    for name in ("key", "pem"):
        shutil.copy(second / name, first / name)
    assert trusting("second") == 200
