"""`wetread destination`: list, test, pause and resume, with a real archive."""

import json

import pytest
from click.testing import CliRunner

from service.audit import AuditAction
from service.commands.destination import destination
from service.errors import NotFound, WetreadError
from service.jobs import IllegalTransition
from service.settings.config import load_settings
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.databases import make_database


@pytest.fixture
def run(tmp_path, monkeypatch, free_port):
    """A function that runs the command with a folder and a DICOM node that does not answer."""
    configured = [
        {"kind": "folder", "name": "files", "path": str(tmp_path / "out")},
        {
            "kind": "dimse",
            "name": "away",
            "host": "127.0.0.1",
            "port": free_port(),
            "ae_title": "AWAY",
        },
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WETREAD_DESTINATIONS", json.dumps(configured))
    make_database(load_settings().database_url)

    def invoke(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(destination, arguments)
        if isinstance(result.exception, WetreadError | IllegalTransition):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.stdout

    return invoke


def recorded():
    """Return what the audit trail has, the oldest first."""
    store = Store.open(load_settings())
    found = [(each.event.action, each.event.detail) for each in store.audit_records(AuditFilter())]
    store.close()
    return found[::-1]


def test_a_pause_is_listed_and_resumed(run):
    """The list has state, address, person and reason; a repeated change is refused."""
    assert "away" in run("list")
    assert "paused by" in run("pause", "files", "--reason", "disk\nis full")
    with pytest.raises(IllegalTransition, match="paused already"):
        run("pause", "files", "--reason", "again")
    with pytest.raises(NotFound):
        run("pause", "nowhere", "--reason", "typed wrong")
    found = {each["destination"]: each for each in json.loads(run("list", "--json"))}
    assert found["files"]["state"] == "PAUSED"
    assert found["files"]["pause"]["reason"] == "disk is full"
    assert found["away"]["pause"] is None
    assert found["away"]["address"].startswith("AWAY at 127.0.0.1:")
    assert run("resume", "files") == "files: resumed; 0 due now\n"
    assert recorded() == [
        (AuditAction.PAUSED, "files: disk is full"),
        (AuditAction.RESUMED, "files"),
    ]


def test_a_test_says_what_answers(run):
    """Exit status 1 for a node that does not; each test is recorded."""
    assert "answers and accepts storage" in run("test", "files")
    assert "FAULT" in run("test", "away", status=1)
    with pytest.raises(NotFound):
        run("test", "nowhere")
    assert recorded() == [(AuditAction.TESTED, "files"), (AuditAction.TESTED, "away")]


@pytest.mark.orthanc
def test_a_dicom_node_is_tested_by_echo_and_association(run, orthanc, monkeypatch):
    """A real archive answers the C-ECHO and accepts the presentation contexts."""
    node = {
        "kind": "dimse",
        "name": "pacs",
        "host": "127.0.0.1",
        "port": orthanc.dicom_port,
        "ae_title": orthanc.ae_title,
    }
    monkeypatch.setenv("WETREAD_DESTINATIONS", json.dumps([node]))
    assert "answers and accepts storage" in run("test", "pacs")
