"""The STOW-RS door, asked by real clients over real sockets; its spool and database are real ones."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.spool import content_digest
from service import schema
from service.callers import Callers
from service.config import Settings, load_settings
from service.queue import Queue
from service.store import Store
from service.tokens import Scope, mint
from service.web import upload
from service.web.server import address_of, bind
from service.web.stow_server import StowServer, make_app, make_door

MULTIPART = 'multipart/related; type="application/dicom"; boundary=frontier'
FAILED, REFERENCED, OTHER = "00081198", "00081199", "0008119A"


@dataclass
class OpenDoor:
    """A running door, its store and what a test sends to it."""

    url: str
    store: Store
    settings: Settings
    door: object
    token: str

    @property
    def studies(self) -> str:
        return f"{self.url}dicom-web/studies"

    def post(self, content, *, path="", **headers) -> httpx.Response:
        """Send a body with the good token, multipart and JSON unless said otherwise."""
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": MULTIPART}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in given.items() if value is not None}
        return httpx.post(self.studies + path, content=content, headers=given, timeout=30)

    def films(self) -> list[Path]:
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


@pytest.fixture
def make_door_at(tmp_path):
    """A function that opens a door on a free port, with settings of one's own."""
    stops = []

    def open_door(**overrides) -> OpenDoor:
        given = {
            "data_dir": tmp_path / f"site{len(stops)}",
            "receiver": {"min_free_bytes": 0, "callers": [{"ae_title": "MODALITY"}]},
            "broker": {"url": "redis://127.0.0.1:1/0"},
            "stow": {"port": 0},
        }
        settings = Settings(**{**given, **overrides})
        settings.spool_dir.mkdir(parents=True)
        schema.upgrade(settings.database_url)
        store, queue = Store.open(settings), Queue(settings)
        callers = Callers(settings, None, load_settings)
        door = make_door(settings, store, queue, callers)
        server = StowServer(make_app(door, store, callers), settings)
        listener = bind("127.0.0.1", 0, section="stow")
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(20)
            door.reception.close()
            queue.close()
            store.close()
            assert not thread.is_alive()

        stops.append(stop)
        scheme = "https" if settings.stow.tls_certificate else "http"
        return OpenDoor(address_of(listener, scheme), store, settings, door, add_token(store))

    yield open_door
    for stop in stops:
        stop()


@pytest.fixture
def door(make_door_at) -> OpenDoor:
    """An open door with an empty store."""
    return make_door_at()


def film(number: int, *, study: int = 1, side: int = 64) -> bytes:
    """Return a small DX film as a PS3.10 file."""
    from io import BytesIO  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415
    from pydicom.dataset import FileMetaDataset  # noqa: PLC0415
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian  # noqa: PLC0415

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


def test_a_film_is_stored_byte_for_byte_and_its_study_becomes_a_job(door, eventually):
    """200, one file with the same data set, one row, and a job although nobody waited."""
    content = film(1)
    response = door.post(body(content))
    assert response.status_code == 200
    (item,) = response.json()[REFERENCED]["Value"]
    assert item["00081155"]["Value"] == ["2.25.77.1.1"]
    assert response.json()["00081190"] == {"vr": "UR"}
    (kept,) = door.films()
    assert data_set_of(kept.read_bytes()) == data_set_of(content)
    (row,) = door.store.instances("2.25.77.1")
    assert row.calling_ae == "MODALITY"
    assert door.leftovers() == []
    eventually(lambda: door.store.jobs(study="2.25.77.1"), seconds=20, what="the job")
    assert door.store.jobs(study="2.25.77.1")[0].calling_ae == "MODALITY"
