"""The STOW-RS endpoint: real clients, sockets, spool and database."""

import contextlib
import hashlib
import json
import shutil
import subprocess
from io import BytesIO

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from service.system.disk_space import Watermark
from service.tokens import Scope
from tests.service.stow.requests import (
    MULTIPART,
    REFERENCED,
    add_token,
    body,
    data_set_of,
    image,
    raw,
    reasons,
)

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def test_an_image_is_stored_byte_for_byte_and_its_study_becomes_a_job(endpoint, eventually):
    """200, one file with the same data set, one row, and a job without a quiet time."""
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
    """A chunked body, with Expect: 100-continue, through curl."""
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
    """Malformed, hostile and foreign files: each gets a reason of the Standard, never a server error."""
    files = [each for each in sorted((shared_data / "edge-cases").rglob("*")) if each.is_file()]
    response = endpoint.post(body(*(file.read_bytes() for file in files)))
    assert response.status_code == 202
    found = reasons(response)
    stored = response.json()[REFERENCED]["Value"]
    assert len(found) + len(stored) == len(files) > 100
    assert set(found) <= {0xA900, 0xC000, 0xC122, 0x0122}
    counted = sum(endpoint.store.refusal_totals().values())
    assert counted == len(found) > 0
    assert endpoint.leftovers() == []
    assert endpoint.post(body(image(1))).status_code == 200


def test_the_same_image_again_changes_nothing(endpoint):
    """A router that sends twice gets 200 twice; one file, one row."""
    assert [endpoint.post(body(image(1), image(1))).status_code for _ in range(2)] == [200, 200]
    assert len(endpoint.images()) == len(endpoint.store.instances("2.25.77.1")) == 1


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(None, 401), ("Basic YTpi", 401), ("Bearer nonsense", 401), ("read", 403), ("stranger", 403)],
)
def test_without_the_right_token_nothing_is_read(endpoint, authorization, status):
    """No token, another scheme, a wrong one, one that may only read, one of an unknown calling AE."""
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
    """415 for a body that is no multipart of PS3.10 files, 400 for an invalid boundary."""
    assert endpoint.post(body(image(1)), Content_Type=content_type).status_code == status
    assert endpoint.images() == []


def test_odd_requests_are_refused(endpoint):
    """A megabyte of boundary, a compressed body, an invalid study, another method."""
    long = f'multipart/related; type="application/dicom"; boundary="{"x" * 2**20}"'
    with contextlib.suppress(httpx.ReadError, httpx.WriteError):  # or closed while it still sends
        assert endpoint.post(b"", Content_Type=long).status_code == 400
    assert endpoint.post(body(image(1)), Content_Encoding="gzip").status_code == 415
    assert endpoint.post(body(image(1)), path="/..%2f1").status_code in {400, 404}
    assert endpoint.post(body(image(1)), path="/1..3").status_code == 400
    assert httpx.get(endpoint.studies).status_code == 405
    assert endpoint.images() == []


def test_an_image_of_another_study_than_the_address_names_is_refused(endpoint):
    """409 with the reason; the same image is accepted for its own study."""
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
    """Until a tenth more than the limit is free, or images would be accepted and refused in turn."""
    receiver = {"min_free_bytes": 1_000_000, "callers": [{"ae_title": "MODALITY"}]}
    endpoint = make_endpoint_at(receiver=receiver)
    free = [0]
    endpoint.context.reception._disk = Watermark(endpoint.settings, lambda _: free[0])
    for free[0], status in [(999_999, 503), (1_099_999, 503), (1_100_000, 200), (1_000_000, 200)]:
        assert endpoint.post(body(image(1))).status_code == status
        assert httpx.get(f"{endpoint.url}readyz").status_code == status


def test_a_full_disk_is_reported_before_the_body_is_sent(make_endpoint_at):
    """503 with Retry-After, and no 100 Continue before it."""
    receiver = {"min_free_bytes": 2**60, "callers": [{"ae_title": "MODALITY"}]}
    endpoint = make_endpoint_at(receiver=receiver)
    with raw(endpoint, b"Content-Length: 1000000\r\nExpect: 100-continue") as connection:
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 10" in answer.lower()


def test_an_early_answer_reaches_who_sends_on_all_the_same(endpoint):
    """20 MB behind a wrong token: the sender reads 401, not a broken connection."""
    long = body(image(1, side=3200))
    for _ in range(3):
        response = endpoint.post(long, Authorization="Bearer wrong")
        assert (response.status_code, response.headers["Connection"]) == (401, "close")


def test_the_answer_comes_as_xml_to_who_asks_for_it(endpoint):
    """Accept: application/dicom+xml; anything else gets JSON."""
    response = endpoint.post(body(image(1)), Accept="application/dicom+xml")
    assert response.headers["Content-Type"] == "application/dicom+xml"
    assert '<Value number="1">2.25.77.1.1</Value>' in response.text
    assert json.loads(endpoint.post(body(image(1)), Accept="*/*").text)


def test_the_probes_need_no_token(endpoint):
    """/healthz and /readyz, for the supervisor of the process."""
    assert httpx.get(f"{endpoint.url}healthz").status_code == 200
    assert httpx.get(f"{endpoint.url}readyz").json() == {"status": "ready", "fault": ""}
