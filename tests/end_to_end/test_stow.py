"""A PACS that routes by DICOMweb: Orthanc sends by STOW-RS, and the draft comes back to it."""

import json
import urllib.error
import urllib.request

import pytest
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write
from service.tokens import Scope, mint

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(180)]


def ask(orthanc, path, content, method="POST"):
    """Return Orthanc's answer to a request with a body."""
    given = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{orthanc.url}{path}", data=given, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read() or b"null")


def _study_of(orthanc, instance):
    """Return Orthanc's name of the study of an instance."""
    url = f"{orthanc.url}/instances/{instance}/study"
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())["ID"]


@pytest.fixture
def site(site_class, orthanc, tmp_path, free_port):
    """A Wetread with a STOW-RS endpoint that the session's Orthanc knows, and delivers to."""
    port, dicom_port = free_port(), free_port()
    value, credential = mint()
    overrides = {
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
        "stow": {"port": port},
    }
    running = site_class(tmp_path, dicom_port, overrides)
    try:
        running.start()
        running.store.add_token(
            credential,
            name="orthanc",
            scopes=frozenset({Scope.STOW}),
            ae_title="MODALITY",
            expires_at=None,
            actor="test",
        )
        headers = {"Authorization": f"Bearer {value}"}
        server = {"Url": f"http://127.0.0.1:{port}/dicom-web/", "HttpHeaders": headers}
        ask(orthanc, "/dicom-web/servers/wetread", server, "PUT")
        probe = f"http://127.0.0.1:{port}/readyz"

        def ready() -> bool:
            try:
                return urllib.request.urlopen(probe, timeout=5).status == 200
            except (urllib.error.URLError, ConnectionError):
                return False

        running.until(ready, seconds=60, what="the STOW-RS endpoint")
        yield running
    finally:
        running.stop()


def test_a_study_that_orthanc_sends_by_stow_comes_back_as_a_draft(site, orthanc, in_pacs, tmp_path):
    """The image is the same to the byte, the job begins at once, SR and pictures are in the PACS."""
    dataset = as_dataset(draw(310, rows=512, columns=512))
    image = write(dataset, tmp_path / "image.dcm")
    study = str(dataset.StudyInstanceUID)
    identifier = ask(orthanc, "/instances", image.read_bytes())["ID"]
    ask(
        orthanc, "/dicom-web/servers/wetread/stow", {"Resources": [identifier], "Synchronous": True}
    )
    job = site.completed(study)
    (received,) = site.store.instances(study)
    assert received.calling_ae == "MODALITY"
    assert dcmread(received.path).PixelData == dcmread(image).PixelData
    assert site.store.events(job.id)[0].actor == "intake"
    there = in_pacs(study)
    assert {"SR", "OT"} <= {str(each.Modality) for each in there.values()}
    parent = _study_of(orthanc, identifier)
    whole = {"Resources": [parent], "Synchronous": True}
    ask(orthanc, "/dicom-web/servers/wetread/stow", whole)
    assert len(site.store.instances(study)) == len(there)
    assert [each.id for each in site.store.jobs(study=study)] == [job.id]
