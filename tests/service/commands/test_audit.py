"""`wetread audit`: lists, verifies and exports the trail of a database."""

import csv
import io
from xml.etree.ElementTree import fromstring

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from service.audit import CSV_COLUMNS, AuditAction, AuditEvent
from service.commands.audit import BrokenTrail, audit
from service.settings.config import load_settings
from service.store import Store
from tests.databases import make_database


@pytest.fixture
def trail(tmp_path, monkeypatch):
    """A store of a site in the environment, with two records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    settings = load_settings()
    make_database(settings.database_url)
    store = Store.open(settings)
    store.record_audit(AuditEvent(action=AuditAction.LOGIN, actor="kim", patient_id="P1"))
    store.record_audit(AuditEvent(action=AuditAction.VIEWED, actor="=HYPERLINK()", study_uid="1.2"))
    yield store
    store.close()


def run(*arguments):
    """Return the result of the command."""
    return CliRunner().invoke(audit, arguments, catch_exceptions=True)


@pytest.mark.usefixtures("trail")
def test_records_are_listed_by_person_patient_and_study():
    """Or a note that there are none."""
    assert "login" in run("list", "--patient", "P1").output
    assert "viewed" not in run("list", "--person", "kim").output
    assert run("list", "--study", "9.9").output.strip() == "no records"


def test_a_changed_record_is_found(trail):
    """The message names the first record that breaks the chain."""
    assert run("verify").output.startswith("2 records, digest ")
    with trail._writing() as session:
        triggers = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for name in session.scalars(triggers).all():
            session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(text("UPDATE audit_records SET actor = 'lee' WHERE id = 1"))
    found = run("verify")
    assert isinstance(found.exception, BrokenTrail)
    assert "the audit trail is broken" in str(found.exception)


@pytest.mark.usefixtures("trail")
def test_the_table_holds_no_formula():
    """A spreadsheet would run a formula; the export adds a record itself."""
    rows = list(csv.DictReader(io.StringIO(run("export", "--csv").output)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["actor"] for row in rows[:2]] == ["kim", "'=HYPERLINK()"]
    assert rows[2]["action"] == AuditAction.EXPORTED.value


@pytest.mark.usefixtures("trail")
def test_each_record_is_a_dicom_message(tmp_path):
    """In a file of its own; one of the two forms must be chosen."""
    assert run("export", "--dicom", str(tmp_path / "out")).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{number:012d}.xml" for number in (1, 2, 3)]
    message = fromstring((tmp_path / "out" / names[0]).read_text())  # noqa: S314 - our own
    assert message.tag == "AuditMessage"
    assert run("export").exit_code == 2
