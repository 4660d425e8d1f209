"""No route reads more of a body than the limit, for any announced length."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from service.web.app import ROUTES
from service.web.body_limit import MOST_BYTES, most_bytes

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Their handlers read no body: all is in the address, or the address is not valid.
BODILESS = {
    "/account/sessions/{reference}/end",
    "/reader-studies/{reader_study}/items/{item}/text",
    "/monitor/alerts/{alert_id}/acknowledge",
    "/password/{link}",
    "/people/{login}/disable",
    "/people/{login}/enable",
    "/people/{login}/link",
    "/tokens/{token_id}/revoke",
}
POSTS = sorted({r.path for r in ROUTES if "POST" in (getattr(r, "methods", None) or ())} - BODILESS)


def pieces(total: int, sent: list[int], size: int = 4096):
    """Yield a body in pieces without announcing its length; record what was read."""
    while sum(sent) < total:
        sent.append(size)
        yield b"x" * size


@pytest.mark.parametrize("path", POSTS)
def test_a_chunked_body_is_not_read_beyond_the_limit(site, seeder, path):
    """Every route with a body answers 413 and states the limit."""
    job = seeder.completed(1)
    path = path.replace("{job_id}", job.id).replace("{name}", "orthanc")
    path = path.replace("{study_uid}", job.study_instance_uid).replace("{alert_id}", "1")
    headers = JSON if path.startswith("/api/") or "/items/" in path else FORM
    most = most_bytes(path)
    answer = site.post(path, content=pieces(4 * most, []), headers=headers)
    assert answer.status_code == 413
    assert f"The request body is longer than {most} bytes." in answer.text


def test_the_server_stops_reading_an_endless_body(site, seeder):
    """Of an endless body no more is read than the kernel's buffers hold, and the answer is sent."""
    job = seeder.completed(1)
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as peer:
        peer.sendall(
            f"POST /api/jobs/{job.id}/cancel HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Cookie: {site.cookie}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(8):
            peer.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        assert peer.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_an_announced_length_is_refused_unread(site, seeder):
    """An announced length is checked before the body arrives."""
    job = seeder.completed(1)
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as peer:
        peer.sendall(
            f"POST /api/jobs/{job.id}/cancel HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Cookie: {site.cookie}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n".encode()
        )
        assert peer.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_the_limit_is_taken(site, seeder):
    """Exactly the limit is not too long, in pieces too."""
    job = seeder.completed(1)
    body = b'{"reason": "' + b"x" * (MOST_BYTES - 14) + b'"}'
    answer = httpx.post(
        f"{site.url}api/jobs/{job.id}/resend",
        content=iter([body[:9], body[9:]]),
        headers={**JSON, "Cookie": site.cookie},
    )
    assert (len(body), answer.status_code) == (MOST_BYTES, 200)
