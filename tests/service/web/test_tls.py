"""The pages over the service's own TLS, behind a proxy under a path, and after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys

import httpx
import pytest

from service.store import Store
from tests.databases import make_database


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    """A certificate for localhost and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("web-tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_the_service_serves_tls_itself(make_site, tls_files):
    """From any address: the session is Secure, headers say HSTS, a logout clears what is stored."""
    certificate, key = tls_files
    site = make_site(
        web={"port": 0, "tls_certificate": str(certificate), "tls_key": str(key)},
    )
    port = httpx.URL(site.url).port
    with httpx.Client(verify=str(certificate), base_url=f"https://localhost:{port}") as browser:
        form = {"name": "ann", "password": "correct horse battery"}
        answer = browser.post("/login", data=form)
        assert answer.status_code == 303
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["set-cookie"].startswith("__Host-wetread=")
        assert browser.get("/").status_code == 200
        out = browser.post("/logout")
        assert out.headers["clear-site-data"] == '"cache", "storage"'
        assert browser.get("/").status_code == 303
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)


@pytest.fixture
def start_web(tmp_path, eventually):
    """A function that starts `wetread web` on a folder and returns the process and its address."""
    running = []
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WETREAD_")}
    environment = {**clean, "WETREAD_DATA_DIR": str(tmp_path), "WETREAD_WEB__PORT": "0"}

    def start():
        file = tmp_path / "run" / "web.json"
        file.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "web"],
            env=environment,
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )
        running.append(process)
        eventually(file.exists, seconds=30, what="address")
        url = json.loads(file.read_text())["url"]

        def answers():
            try:
                return httpx.get(f"{url}healthz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, seconds=20, what="first answer")
        return process, url

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_killed_web_process_keeps_sessions_and_limits(start_web, tmp_path, cookie_of):
    """Sessions and failed logins are in the database: both survive the kill."""
    make_database(f"sqlite:///{tmp_path / 'wetread.db'}")
    store = Store(f"sqlite:///{tmp_path / 'wetread.db'}")
    cookie = {"Cookie": cookie_of(store)}
    process, url = start_web()
    assert httpx.get(f"{url}api/me", headers=cookie).json()["login"] == "ann"
    wrong = {"name": "ann", "password": "wrong"}
    assert [httpx.post(f"{url}login", data=wrong).status_code for _ in range(5)] == [401] * 5
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, url = start_web()
    assert httpx.get(f"{url}api/me", headers=cookie).json()["login"] == "ann"
    assert httpx.post(f"{url}login", data=wrong).status_code == 429
    store.close()
