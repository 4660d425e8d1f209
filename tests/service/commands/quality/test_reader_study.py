"""`wetread reader-study`: create, status, close, export."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from service.accounts import Role
from service.commands.quality.reader_study import reader_study
from service.reader_study.errors import InvalidReaderStudy, ReaderStudyConflict
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database
from tests.service.web.conftest import Seeder

HASH = "no login"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A store with two readers and two drafts, in the folder that the command uses."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    make_database(settings.database_url)
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    store = Store.open(settings)
    for login in ("kim", "lee"):
        store.add_person(
            login, roles=frozenset({Role.RADIOLOGIST}), password_hash=HASH, actor="test"
        )
    seeder = Seeder(store, settings.spool_dir)
    jobs = [seeder.completed(number) for number in (1, 2)]
    lines = ["id,study_instance_uid,arm,text"]
    for number, job in enumerate(jobs):
        lines.append(f"{number},{job.study_instance_uid},draft,")
        lines.append(f"{number},{job.study_instance_uid},reference,Compared to XXXX: clear.")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    yield store
    store.close()


def run(*arguments, error=None):
    """Return what the command printed, or the message of its error."""
    result = CliRunner().invoke(reader_study, arguments)
    if error is not None:
        assert isinstance(result.exception, error), result.output
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("site")
def test_a_study_from_a_list_is_made_read_closed_and_exported():
    """The output names text that may reveal the arm, and the distance of a case's texts."""
    made = run(
        "create",
        "Spring",
        "--cases",
        "cases.csv",
        "--reader",
        "kim",
        "--reader",
        "lee",
        "--seed",
        "3",
    )
    assert "2 cases, open" in made
    assert "kim: 0 of 5 items" in made
    assert "only 2 places apart" in made
    assert "2 of 2 references" in made  # marks of removed names
    study_id = made.split()[0]
    (shown,) = json.loads(run("status", study_id[:8], "--json"))
    assert (shown["cases"], shown["closed_at"], "results" in shown) == (2, None, False)
    assert "--incomplete" in run("close", study_id, error=ReaderStudyConflict)
    run("export", study_id, error=ReaderStudyConflict)
    results = json.loads(run("close", study_id, "--incomplete"))
    assert (results["rated"], results["missing"]) == (0, 10)
    rows = list(csv.DictReader(io.StringIO(run("export", study_id, "--with-text"))))
    assert len(rows) == 10
    assert {row["text"] for row in rows if row["arm"] == "reference"} == {
        "Compared to XXXX: clear."
    }
    assert {row["source"] for row in rows if row["arm"] == "draft"} == {"Tiny 0.1"}
    assert "text" not in csv.DictReader(io.StringIO(run("export", study_id))).fieldnames
    assert '"results"' in run("status", study_id, "--json")


def test_what_cannot_be_used_is_named_and_nothing_is_made(site, tmp_path):
    """Readers, cases, images; every fault at once."""
    words = run(
        "create", "x", "--cases", "cases.csv", "--reader", "nobody", error=InvalidReaderStudy
    )
    assert "nobody: there is no such account" in words
    site.add_person("vic", roles=frozenset({Role.VIEWER}), password_hash=HASH, actor="test")
    words = run("create", "x", "--cases", "cases.csv", "--reader", "vic", error=InvalidReaderStudy)
    assert "role radiologist" in words
    (tmp_path / "cases.csv").write_text(
        "id,study_instance_uid,arm,text\n1,1.2.3,draft,\n2,1.2.4,reference,Clear.\n3,1.2.5,draft,###\n"
    )
    words = run("create", "x", "--cases", "cases.csv", "--reader", "kim", error=InvalidReaderStudy)
    assert "line 2: the service has no draft" in words
    assert "line 3: no image" in words
    assert "line 4: the text has no statement" in words
    run("create", "x", "--reader", "kim", error=InvalidReaderStudy)
    words = run("create", "x", "--from-service", "--reader", "kim", error=InvalidReaderStudy)
    assert "final_reports.keep_text" in words
    assert site.reader_studies() == []
    run("status", "0000", error=InvalidReaderStudy)
    assert run("status").strip() == "no reader studies"
