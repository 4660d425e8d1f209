"""Connections to the STOW-RS port: silent ones, too many, and several at the same time."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from service.web import timeouts
from tests.service.stow.requests import body, data_set_of, image, raw


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
    """For others of any kind: refused, silent, or slow."""
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
