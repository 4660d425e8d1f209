"""What `wetread check` reports about destinations: whether they answer and accept objects."""

import contextlib
import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt

from service.checks.check import Grade, results
from service.checks.destinations import destination_checks
from service.settings.config import Settings

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
VERIFICATION = "1.2.840.10008.1.1"
RESULTS = (BasicTextSRStorage, ComprehensiveSRStorage, SecondaryCaptureImageStorage)


def checked(folder, section, **options):
    """Return what the check reports about one destination."""
    settings = Settings(
        data_dir=folder, destinations=[{"name": "pacs", "timeout": 5, **section}], **options
    )
    (result,) = results(destination_checks(settings))
    return result.outcome


@contextlib.contextmanager
def pacs(*classes, find=True):
    """A PACS that accepts C-ECHO and these SOP Classes; its port."""
    entity = AE(ae_title="PACS")
    for sop_class in (VERIFICATION, *classes, *([FIND] if find else [])):
        entity.add_supported_context(sop_class)
    stored = []
    handlers = [(evt.EVT_C_STORE, lambda event: stored.append(event) or 0)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield {
            "kind": "dimse",
            "host": "127.0.0.1",
            "port": server.server_address[1],
            "ae_title": "PACS",
        }
        assert stored == []
    finally:
        server.shutdown()


@contextlib.contextmanager
def web(get, post):
    """An HTTP server with these status codes for GET and POST; GET answers as an Orthanc."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(get, json.dumps({"ApiVersion": 20}).encode())

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.answer(post, b"{}")

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("kind", ["orthanc", "stow", "dimse", "folder"])
def test_a_destination_that_may_be_written_is_fine(kind, orthanc, tmp_path):
    """A real Orthanc by each of its interfaces, and a folder; no object is left there."""
    section = {
        "orthanc": {"url": orthanc.url},
        "stow": {"url": orthanc.dicomweb_url},
        "dimse": {"host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": orthanc.ae_title},
        "folder": {"path": tmp_path / "out"},
    }[kind]
    before = instances(orthanc)
    outcome = checked(tmp_path, {"kind": kind, **section})
    assert (outcome.grade, outcome.detail) == (Grade.OK, "answers and accepts storage")
    assert instances(orthanc) == before
    assert not list((tmp_path / "out").glob("*"))


def instances(orthanc):
    """Return how many instances the Orthanc has."""
    with urllib.request.urlopen(f"{orthanc.url}/statistics") as answer:  # noqa: S310 - loopback
        return json.load(answer)["CountInstances"]


@pytest.mark.parametrize("kind", ["orthanc", "stow"])
@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_user_who_may_only_read_is_a_fault(kind, status, tmp_path):
    """It answers a query and refuses to store: results would fail."""
    with web(200, status) as url:
        outcome = checked(tmp_path, {"kind": kind, "url": url})
    assert outcome.grade is Grade.FAULT
    assert f"does not allow storing (HTTP status {status})" in outcome.detail


@pytest.mark.parametrize(
    ("status", "grade"),
    [
        (200, Grade.OK),
        (204, Grade.OK),
        (400, Grade.OK),
        (409, Grade.OK),
        (415, Grade.FAULT),
        (500, Grade.WARNING),
        (503, Grade.WARNING),
    ],
)
def test_the_answer_to_an_empty_store_request_is_judged(status, grade, tmp_path):
    """Archives answer in many ways; an answer without a conclusion is reported as such."""
    with web(200, status) as url:
        assert checked(tmp_path, {"kind": "stow", "url": url}).grade is grade


def test_each_class_that_a_pacs_does_not_accept_is_named(tmp_path):
    """Those that would be sent, and no others."""
    with pacs(BasicTextSRStorage, SecondaryCaptureImageStorage) as section:
        outcome = checked(tmp_path, section)
        assert outcome.grade is Grade.FAULT
        assert "Comprehensive SR Storage" in outcome.detail
        assert "Basic Text SR" not in outcome.detail
        assert checked(tmp_path, {**section, "objects": ["report", "images"]}).grade is Grade.OK


def test_what_the_outputs_add_is_asked_for(tmp_path):
    """A presentation state, a PDF, 3D findings, JPEG-LS pictures, and C-FIND to read back."""
    with pacs(*RESULTS) as section:
        assert checked(tmp_path, section).grade is Grade.OK
        extras = {"extras": ["presentation-state", "report-pdf"], "comprehensive_3d": True}
        detail = checked(tmp_path, section, outputs=extras).detail
        for name in ("Comprehensive 3D SR", "Softcopy Presentation State", "Encapsulated PDF"):
            assert name in detail
        detail = checked(tmp_path, section, outputs={"compression": "jpeg-ls"}).detail
        assert "from WETREAD: Secondary Capture Image Storage." in detail
    with pacs(*RESULTS, find=False) as section:
        assert "does not accept C-FIND" in checked(tmp_path, section).detail
        assert checked(tmp_path, {**section, "verify": False}).grade is Grade.OK


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path):
    """A file is in its place."""
    (tmp_path / "out").write_bytes(b"")
    outcome = checked(tmp_path, {"kind": "folder", "path": tmp_path / "out"})
    assert outcome.grade is Grade.FAULT
