"""`wetread db`: upgrades the database and shows its revision."""

from click.testing import CliRunner

from service.commands.database import db


def test_an_empty_database_is_upgraded_once(tmp_path, monkeypatch):
    """Its folder is made; a second upgrade changes nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path / "data"))
    run = CliRunner().invoke
    first = run(db, ["upgrade"], catch_exceptions=False).output
    assert first.startswith("database: empty -> ")
    revision = first.split("-> ")[1].strip()
    assert run(db, ["upgrade"]).output == f"database: at {revision}\n"
    assert run(db, ["current"]).output == f"{revision}\n"
