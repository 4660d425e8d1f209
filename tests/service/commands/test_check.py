"""`wetread check` reports what a person should change before it causes a fault."""

from contextlib import closing
from datetime import timedelta

import pytest
from click.testing import CliRunner

from service.commands.check import check
from service.settings.config import load_settings
from service.store import Store
from service.tokens import Scope, mint
from tests.databases import make_database


@pytest.fixture
def output_of(tmp_path, monkeypatch):
    """A function: days until a token expires -> what `wetread check` reports about tokens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    make_database(load_settings().database_url)

    def run(days: float) -> tuple[str, bool]:
        with closing(Store.open(load_settings())) as store:
            lives = timedelta(days=days)
            made = timedelta(days=90) - lives
            clock = store._clock
            store._clock = lambda: clock() - made
            store.add_token(
                mint()[1],
                name="router",
                scopes=frozenset({Scope.STOW}),
                ae_title="PACS",
                expires_at=clock() + lives,
                actor="test",
            )
        result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "250"})
        return " ".join(result.output.split()), "tokens" in result.output.rpartition("failed:")[2]

    return run


@pytest.mark.parametrize(
    ("days", "expected", "fault"),
    [
        (60, "1 in force, none expires soon", False),
        (10, "router: It expires at", False),
        (-1, "router: It expired at", True),
    ],
)
def test_a_token_that_expires_is_named(days, expected, fault, output_of):
    """Before the end it is a warning, afterwards a fault."""
    output, failed = output_of(days)
    assert expected in output
    assert failed is fault


def test_a_profile_is_checked_without_its_model(tmp_path, monkeypatch):
    """A shipped one is valid; a missing file is a fault, also with --no-model."""
    monkeypatch.chdir(tmp_path)
    for name, text in (
        ("generic", "ok profile generic: valid"),
        ("own.toml", "FAULT profile own.toml:"),
    ):
        (tmp_path / "wetread.toml").write_text(
            f'[reading]\nkind = "transformers"\nmodel = "own"\nmodel_dir = "."\nprofile = "{name}"\n'
        )
        result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "250"})
        assert text in " ".join(result.output.split())


def test_the_check_makes_no_folder(tmp_path, monkeypatch):
    """Files made by this command would belong to its user, and the service could not write them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path / "data"))
    result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "250"})
    assert "does not exist yet" in result.output
    assert not (tmp_path / "data").exists()


@pytest.fixture
def grades(tmp_path, monkeypatch):
    """A function: what `wetread check` reports about each part of a site in a folder, by the part."""
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    (tmp_path / "wetread.toml").write_text(
        f'[[destinations]]\nname = "out"\nkind = "folder"\npath = "{out}"\n'
        "[receiver]\nport = 0\nmin_free_bytes = 0\n[web]\nport = 0\n"
    )

    def run() -> tuple[dict[str, str], int]:
        result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "250"})
        lines = [line.split(maxsplit=1) for line in result.stdout.splitlines() if ": " in line]
        found = {rest.partition(":")[0]: grade for grade, rest in lines}
        return found, result.exit_code

    return run


def test_before_the_first_start_nothing_is_a_fault(grades, tmp_path):
    """A file that `wetread up` makes at its first start is a note; the check itself makes nothing."""
    found, status = grades()
    assert {part for part, grade in found.items() if grade == "note"} == {
        "accounts",
        "audit trail",
        "database",
        "tokens",
        "broker",
    }
    assert "FAULT" not in found.values()
    assert status == 0
    assert not (tmp_path / "wetread-data").exists()


def test_a_missing_database_beside_images_is_a_fault(grades, tmp_path):
    """The service has run here: a missing database is then no first start."""
    spool = tmp_path / "wetread-data" / "spool"
    spool.mkdir(parents=True)
    (spool / "image.dcm").write_bytes(b"\0")
    found, status = grades()
    assert found["database"] == "FAULT"
    assert status == 1


def test_a_private_redis_that_has_stopped_is_a_fault(grades, tmp_path):
    """The address of the last start remains; the advice is to start, not to set an address."""
    run = tmp_path / "wetread-data" / "run"
    run.mkdir(parents=True)
    (run / "broker.url").write_text("redis://:secret@127.0.0.1:1/0")
    found, _status = grades()
    assert found["broker"] == "FAULT"
    result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "250"})
    assert "the private Redis of `wetread up` does not answer: start `wetread up`" in result.output


def test_an_empty_database_of_a_server_is_a_note(grades, postgres_url, monkeypatch):
    """PostgreSQL: the first start makes the tables."""
    monkeypatch.setenv("WETREAD_DATABASE__URL", postgres_url)
    found, _status = grades()
    assert found["database"] == "note"
