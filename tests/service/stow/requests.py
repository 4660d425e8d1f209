"""Images, multipart bodies and requests, for the tests of the STOW-RS endpoint."""

import socket
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from service.settings.config import Settings
from service.store import Store
from service.tokens import Scope, mint

MULTIPART = 'multipart/related; type="application/dicom"; boundary=frontier'


FAILED, REFERENCED, OTHER = "00081198", "00081199", "0008119A"


@dataclass
class RunningEndpoint:
    """A running STOW-RS endpoint, its store and the requests of a test."""

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
        """Return the files in the spool."""
        return sorted(self.settings.spool_dir.glob("??/*.dcm"))

    def leftovers(self) -> list[Path]:
        """Return the incomplete files."""
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
    """Return the bytes after the file meta group."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


def reasons(response: httpx.Response) -> list[int]:
    """Return the failure reasons of a response, in their order."""
    answer = response.json()
    items = [item for tag in (FAILED, OTHER) for item in answer.get(tag, {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


GOOD = b"--frontier\r\nContent-Type: application/dicom\r\n\r\n" + image(1) + b"\r\n"


def raw(endpoint, head: bytes) -> socket.socket:
    """Return a connection on which a request's head has been sent."""
    host, port = endpoint.url.split("/")[2].split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    start = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {endpoint.token}\r\n"
    )
    connection.sendall(f"{start}Content-Type: {MULTIPART}\r\n".encode() + head + b"\r\n\r\n")
    return connection
