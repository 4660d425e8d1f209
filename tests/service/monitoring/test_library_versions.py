"""With an untested version of a library the plain path is used, and log and check state it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from dicom.scu.store_scu import send_files
from service.database import schema
from service.settings.config import load_settings

# Python imports it at its start, before any version is read.
OTHER_VERSIONS = """
import importlib.metadata
import os

_real = importlib.metadata.version
_other = os.environ["OTHER_VERSIONS"].split(",")
importlib.metadata.version = lambda name: "99.1" if name in _other else _real(name)
"""
WETREAD = (sys.executable, "-m", "service.cli")


class Site:
    """A folder of a site whose processes find other versions of some libraries."""

    def __init__(self, folder: Path, broker: str, ports: tuple[int, int]) -> None:
        (folder / "sitecustomize.py").write_text(OTHER_VERSIONS)
        # It has a function that makes a job, and the processes below are not this one.
        shutil.copy(
            Path(__file__).parents[1] / "queue" / "test_job_queue.py", folder / "tests_queue.py"
        )
        self.folder = folder
        self.dicom, self.web = ports
        self.environment = os.environ | {
            "PYTHONPATH": str(folder),
            "WETREAD_BROKER__URL": broker,
            "WETREAD_DATA_DIR": str(folder),
            "WETREAD_LOG__FORMAT": "json",
            "WETREAD_RECEIVER__HOST": "127.0.0.1",
            "WETREAD_RECEIVER__MIN_FREE_BYTES": "0",
            "WETREAD_RECEIVER__OPEN": "true",
            "WETREAD_RECEIVER__PORT": str(self.dicom),
            "WETREAD_STOW__PORT": str(self.web),
        }
        schema.upgrade(load_settings(data_dir=folder).database_url)

    def run(self, *command: str, other: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | {"OTHER_VERSIONS": other},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def python(self, program: str, *arguments: str, other: str) -> subprocess.CompletedProcess[str]:
        """Run a program of Python to its end."""
        return self.run(sys.executable, "-c", program, *arguments, other=other)

    @contextmanager
    def running(self, *command: str, other: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Run `wetread` with this command; give the process and the file of its log."""
        log = self.folder / "log.jsonl"
        with (
            log.open("w") as stream,
            subprocess.Popen(
                (*WETREAD, *command),
                cwd=self.folder,
                env=self.environment | {"OTHER_VERSIONS": other},
                stderr=stream,
            ) as process,
        ):
            try:
                yield process, log
            finally:
                process.terminate()
                assert process.wait(60) == 0


@pytest.fixture
def site(tmp_path, redis_server, free_port):
    """A site of its own, with an empty Redis."""
    redis.Redis.from_url(redis_server.url).flushall()
    return Site(tmp_path, redis_server.url, (free_port(), free_port()))


def warnings(log: Path) -> dict[str, dict[str, str]]:
    """Return the warnings of versions, by library; each must be there once."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found = [line for line in lines if line["event"] == "library_version_not_tested"]
    by_library = {line["library"]: line for line in found}
    assert len(found) == len(by_library)
    return by_library


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def test_an_image_is_received_by_the_plain_path(site, phantom_images, eventually):
    """The internals of pynetdicom 99.1 are untested: they are not used, and the log states it."""
    image = next(iter(phantom_images.values()))
    with site.running("receive", other="pynetdicom") as (_, log):
        eventually(lambda: listens(site.dicom), seconds=60, what="the receiver listens")
        (outcome,) = send_files(
            [image], host="127.0.0.1", port=site.dicom, calling="CR1", called="WETREAD"
        )
        assert outcome.status == 0x0000
        warned = warnings(log)
    assert warned.keys() == {"pynetdicom"}
    assert warned["pynetdicom"]["installed"] == "99.1"
    assert warned["pynetdicom"]["tested"] == "3.0.4"
    assert "plain path" in warned["pynetdicom"]["reason"]


@pytest.mark.parametrize("other", ["pynetdicom", "no-such-library"])
def test_the_fast_path_needs_a_tried_version(site, other):
    """So the test above has received by the plain path."""
    program = (
        "from dicom.scp.presentation_contexts import ScpSettings; "
        "print(ScpSettings(ae_title='A', host='', port=0).is_fast)"
    )
    answer = site.python(program, other=other)
    assert answer.stdout.strip() == str(other != "pynetdicom")


def test_check_names_each_version_that_was_not_tried(site):
    """A warning each, with both versions and the consequence; the others in one line."""
    output = site.run(*WETREAD, "check", "--no-model", other="pynetdicom,uvicorn").stdout
    lines = [" ".join(line.split()) for line in output.splitlines()]
    (line,) = [line for line in lines if "library pynetdicom" in line]
    assert line.startswith("warning")
    assert "pynetdicom 99.1 is installed; tested: 3.0.4; objects are received" in line
    assert any(line.startswith("warning library uvicorn: uvicorn 99.1") for line in lines)
    (line,) = [line for line in lines if "tested versions" in line]
    assert line.startswith("ok libraries")
    assert "kombu" in line
    assert "uvicorn" not in line


@pytest.mark.parametrize("command", ["receive", "check"])
def test_where_no_path_is_left_the_error_names_both_versions(site, command):
    """The receiver does not start, and the check has a fault."""
    program = (
        "import sys; from pynetdicom.dul import DULServiceProvider as Provider; "
        "del Provider._decode_pdu; from service.cli import main; "
        f"sys.argv = ['wetread', '{command}', *(['--no-model'] if '{command}' == 'check' else [])]; "
        "main()"
    )
    answer = site.python(program, other="pynetdicom")
    assert answer.returncode == 1
    sentence = (
        "pynetdicom 99.1 is installed; tested: 3.0.4; it lacks DULServiceProvider._decode_pdu, "
        "so nothing can be received"
    )
    assert sentence in answer.stdout + answer.stderr


def test_messages_are_sent_and_counted_by_kombu_itself(site):
    """The ids of waiting jobs count as unknown."""
    program = """
from tests_queue import job
from service.settings.config import load_settings
from service.queue.job_queue import Queue
from service.queue.names import READING
queue = Queue(load_settings())
print(queue.waiting(READING))
queue.publish(job(1, urgent=True), job(2), job(3))
print(queue.waiting(READING), set(queue.queued_job_ids(READING)))
queue.close()
"""
    answer = site.python(program, other="kombu")
    assert answer.stdout.split("\n") == ["0", "3 set()", ""], answer.stderr


def test_a_worker_serves_with_other_versions_of_celery_and_kombu(site, eventually):
    """It takes messages, continues after SIGHUP, and stops in order."""
    program = """
from tests_queue import JobState, job, load_settings
from service.queue.job_queue import Queue
queue = Queue(load_settings())
queue.publish(job(1, state=JobState.DRAFTED))
queue.close()
"""
    count = (
        "from tests_queue import Queue, load_settings; "
        "print(Queue(load_settings()).waiting('delivery'))"
    )
    other = "celery,kombu,psycopg"
    with site.running("worker", "--queues", "delivery", other=other) as (process, log):
        eventually(lambda: "worker_ready" in log.read_text(), seconds=120, what="it is ready")
        process.send_signal(signal.SIGHUP)
        assert site.python(program, other=other).stderr == ""
        eventually(
            lambda: site.python(count, other=other).stdout.strip() == "0",
            seconds=60,
            what="its message is taken",
        )
        assert process.poll() is None
        assert warnings(log).keys() == {"celery", "kombu", "psycopg"}


def test_the_stow_endpoint_serves_by_uvicorns_own_protocol(site, eventually):
    """It answers; the log names what is missing."""
    with site.running("receive-web", other="uvicorn") as (_, log):
        eventually(lambda: listens(site.web), seconds=60, what="the endpoint listens")
        assert httpx.get(f"http://127.0.0.1:{site.web}/healthz").status_code == 200
        assert "reverse proxy" in warnings(log)["uvicorn"]["reason"]


def test_postgresql_is_used_without_a_limit_of_ours(site, postgres_url):
    """The server's own limits are still set."""
    program = """
import sys
from service.database import schema
from service.system.psycopg_private import CAN_LIMIT_WAITS
from service.store import Store
from sqlalchemy import text
schema.upgrade(sys.argv[1])
store = Store(sys.argv[1], busy_seconds=5.0)
store.ping()
with store._engine.connect() as connection:
    print(CAN_LIMIT_WAITS, connection.execute(text("SHOW statement_timeout")).scalar())
"""
    answer = site.python(program, postgres_url, other="psycopg")
    assert answer.stdout.split() == ["False", "7s"], answer.stderr
