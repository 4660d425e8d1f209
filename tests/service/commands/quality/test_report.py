"""`wetread report` from its command line."""

import json

import pytest
from click.testing import CliRunner

from service.commands.quality.report import report
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database

PERIOD = ("--from", "2026-03-01", "--to", "2026-03-31")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The store of an empty site in the current folder."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    settings = load_settings()
    make_database(settings.database_url)
    store = Store.open(settings)
    yield store
    store.close()


def call(*arguments, code=0):
    """Run the command; return its output."""
    result = CliRunner().invoke(report, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_documents_of_an_empty_site_are_written_and_the_export_is_audited(site, tmp_path):
    """The time of creation is that of the option, or the end of the period."""
    call(*PERIOD, "--out", tmp_path / "out", "--only", "surveillance", "--only", "change-log")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "SHA256SUMS", "surveillance.html", "surveillance.json", "change-log.html",
        "change-log.json",
    }  # fmt: skip
    made = json.loads((tmp_path / "out/surveillance.json").read_text())
    assert made["created"].startswith("2026-04-01 00:00")
    (record,) = site.whole_audit()
    assert (record.event.action, record.event.detail) == (
        "exported", "quality documents 2026-03-01 to 2026-03-31",
    )  # fmt: skip
    call(*PERIOD, "--out", tmp_path / "out", "--only", "change-log", "--created", "2026-05-02")
    assert "2026-05-02 00:00" in (tmp_path / "out/change-log.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2026-03-02", "--to", "2026-03-01"), "is before --from"),
        (("--from", "2024-01-01", "--to", "2026-03-01"), "at most 400 days"),
        ((*PERIOD, "--only", "change-evaluation"), "give all three"),
        ((*PERIOD, "--before", "."), "give all three"),
        ((*PERIOD, "--evaluation", "."), "manifest.json"),
    ],
)
@pytest.mark.usefixtures("site")
def test_wrong_arguments_end_with_status_2_and_write_nothing(tmp_path, arguments, words):
    """The message says what to give."""
    output = call(*arguments, "--out", tmp_path / "out", code=2)
    assert words in " ".join(output.split())
    assert not (tmp_path / "out").exists()
