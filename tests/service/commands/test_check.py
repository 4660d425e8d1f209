"""`wetread check` says what a person should change before it hurts."""

from contextlib import closing
from datetime import timedelta

import pytest
from click.testing import CliRunner

from service import schema
from service.commands.check import check
from service.config import load_settings
from service.store import Store
from service.tokens import Scope, mint


@pytest.fixture
def said(tmp_path, monkeypatch):
    """A function: days until a token expires -> what `wetread check` says of tokens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    schema.upgrade(load_settings().database_url)

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
    ("days", "words", "fault"),
    [
        (60, "1 in force, none expires soon", False),
        (10, "router: It expires at", False),
        (-1, "router: It expired at", True),
    ],
)
def test_a_token_that_expires_is_named(days, words, fault, said):
    """Before the end it is a word of warning, afterwards a fault."""
    output, failed = said(days)
    assert words in output
    assert failed is fault


def test_the_check_makes_no_folder(tmp_path, monkeypatch):
    """What this command made would belong to its user, and the service could not write it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path / "data"))
    result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "250"})
    assert "is not there yet" in result.output
    assert "run `wetread db upgrade`" in result.output
    assert not (tmp_path / "data").exists()
