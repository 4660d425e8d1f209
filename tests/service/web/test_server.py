import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from service.store import Store
from tests.databases import make_database

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def start_web(tmp_path, eventually):
    """A function that runs `wetread web` on a free port; returns (process, url, data folder)."""
    running = []

    def start(**environment: str):
        folder = tmp_path / "site"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD")}
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "web"],
            cwd=REPOSITORY,
            env={
                **clean,
                "WETREAD_DATA_DIR": str(folder),
                "WETREAD_WEB__PORT": "0",
                "WETREAD_WEB__PASSWORD": "of-scripts",
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        file = folder / "run" / "web.json"
        eventually(lambda: file.exists() or process.poll() is not None, seconds=20, what="address")
        url = json.loads(file.read_text())["url"]

        def answers() -> bool:
            try:
                return httpx.get(url + "healthz").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers, seconds=20, what="first answer")
        return process, url, folder

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_sigterm_ends_the_process_with_open_streams(start_web, tmp_path, cookie_of):
    """Exit status 0, the stream ended, the heartbeat signed off, the address file gone."""
    make_database(f"sqlite:///{tmp_path / 'site' / 'wetread.db'}")
    process, url, folder = start_web()
    store = Store(f"sqlite:///{folder / 'wetread.db'}")
    assert [(each.role, each.detail) for each in store.processes()] == [("web", url)]
    headers = {"Cookie": cookie_of(store)}
    with httpx.stream("GET", url + "live/queue", timeout=10, headers=headers) as stream:
        lines = stream.iter_lines()
        next(lines)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        for _ in lines:
            pass
        assert process.wait(30) == 0
        assert time.monotonic() - began < 30  # an open stream would last for ever
    assert store.processes() == []
    assert not (folder / "run" / "web.json").exists()
    store.close()


def test_a_page_without_a_database_still_states_what_is_wrong(start_web):
    """Before `wetread db upgrade` the process runs, /readyz names the database, the login page too."""
    _, url, _ = start_web()
    assert httpx.get(url + "readyz").json() == {"status": "not ready"}
    parts = httpx.get(url + "readyz", auth=("admin", "of-scripts")).json()["parts"]
    assert parts["database"]["ok"] is False
    page = httpx.get(url, follow_redirects=True)
    assert page.url.path == "/login"
    assert "No login is possible now." in page.text


def test_an_address_in_use_is_a_sentence(start_web, tmp_path):
    """A second process on the same port ends with the setting and the reason."""
    _, url, _ = start_web()
    port = url.rstrip("/").rpartition(":")[2]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WETREAD")}
    second = subprocess.run(
        [sys.executable, "-m", "service.cli", "web"],
        cwd=REPOSITORY,
        env={**clean, "WETREAD_DATA_DIR": str(tmp_path / "b"), "WETREAD_WEB__PORT": port},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in second.stderr
    assert f"port {port} is in use by another Wetread, whose data_dir is " in second.stderr
    assert "Set web.port to a free port" in second.stderr
    assert "Stop it" not in second.stderr


def test_the_web_process_imports_no_torch():
    """Neither torch nor transformers nor the workers are loaded with the application."""
    code = (
        "import sys, service.web.app; "
        "print([m for m in ('torch', 'transformers', 'workers', 'celery') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
