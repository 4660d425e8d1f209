"""`wetread support-bundle`: a file readable by its user only, and a record of it."""

import zipfile

import pytest
from click.testing import CliRunner

from service.audit import AuditAction
from service.commands.support_bundle import support_bundle
from service.errors import NotFound
from service.settings.config import load_settings
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.databases import make_database


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs the command against a database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    make_database(load_settings().database_url)

    def invoke(*arguments):
        return CliRunner().invoke(support_bundle, [*map(str, arguments)])

    return invoke


def test_the_file_is_private_and_not_replaced(run, tmp_path):
    """With the log lines of a file; a second call with the same name changes nothing."""
    out, log = tmp_path / "bundle.zip", tmp_path / "log"
    log.write_text("not JSON\n")
    done = run("--out", out, "--log", log)
    assert done.exit_code == 0, done.output
    assert out.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert {"README.txt", "check.txt", "log.jsonl"} <= set(archive.namelist())
    before = out.read_bytes()
    assert isinstance(run("--out", out).exception, FileExistsError)
    assert out.read_bytes() == before
    store = Store.open(load_settings())
    actions = [each.event.action for each in store.audit_records(AuditFilter())]
    store.close()
    assert actions == [AuditAction.EXPORTED] * 2


def test_an_unknown_job_makes_no_file(run, tmp_path):
    """The message names the job."""
    done = run("--out", tmp_path / "bundle.zip", "--job", "abc")
    assert isinstance(done.exception, NotFound)
    assert not (tmp_path / "bundle.zip").exists()
