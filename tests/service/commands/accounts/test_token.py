import json
import re

import pytest
from click.testing import CliRunner

from service.commands.accounts.token import token
from service.errors import WetreadError
from service.settings.config import load_settings
from service.store import Store
from service.tokens import InvalidToken, Scope, check_name, lifetime, mint, presented
from tests.databases import make_database


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs `wetread token ARGUMENTS` against a database of its own."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    make_database(load_settings().database_url)

    def invoke(*arguments: str) -> str:
        result = CliRunner().invoke(token, arguments, catch_exceptions=True)
        if isinstance(result.exception, WetreadError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


def test_the_value_is_shown_once_and_only_its_hash_is_kept(run, tmp_path):
    """The printed token is accepted; no file of the service contains it."""
    value = run("add", "router", "--scope", "stow", "--ae-title", "PACS").strip()
    store = Store.open(load_settings())
    found = store.token_of(presented(value))
    assert (found.name, found.ae_title, found.scopes) == ("router", "PACS", {Scope.STOW})
    assert round((found.expires_at - found.created_at).total_seconds() / 86400) == 90
    store.close()
    secret = value.split("_", 2)[2].encode()
    assert not [
        each for each in tmp_path.rglob("*") if each.is_file() and secret in each.read_bytes()
    ]
    assert value not in run("list", "--json")


def test_adding_and_revoking_are_written_down(run):
    """Two incidents name who created and who revoked it; then the name may be used again."""
    value = run("add", "monitor", "--scope", "read", "--expires", "never").strip()
    with pytest.raises(InvalidToken, match="revoke it first"):
        run("add", "monitor", "--scope", "read")
    assert run("revoke", "monitor") == "monitor revoked\n"
    with pytest.raises(InvalidToken, match="revoked already"):
        run("revoke", "monitor")
    run("add", "monitor", "--scope", "admin", "--scope", "read")
    store = Store.open(load_settings())
    assert store.token_of(presented(value)) is None
    kinds = [each.kind for each in store.incidents()]
    assert sorted(kinds) == ["token_added", "token_added", "token_revoked"]
    store.close()
    states = {each["id"]: each["state"] for each in json.loads(run("list", "--json"))}
    assert sorted(states.values()) == ["active", "revoked"]
    assert "monitor" in run("list")


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "a b", "--scope", "read"),
        ("add", "x", "--scope", "stow"),
        ("add", "x", "--scope", "read", "--ae-title", "PACS"),
        ("add", "x", "--scope", "read", "--expires", "1y"),
        ("add", "x", "--scope", "read", "--expires", "0d"),
        ("revoke", "nobody"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(run, arguments):
    """Odd names, a storing token without an AE title, invalid lifetimes."""
    with pytest.raises(InvalidToken, match=r"[a-z]{3}"):
        run(*arguments)


def test_a_value_has_256_random_bits_and_a_public_part():
    """Its form can be found by scanners of secrets; no two are equal."""
    (one, known), (other, _) = mint(), mint()
    assert re.fullmatch(r"wetread_[0-9a-f]{12}_[\w-]{43}", one)
    assert one != other
    assert presented(one) == known
    assert presented(one + "x") is presented("") is presented("wetread_x_y") is None
    assert not known.matches(presented(other).digest)


def test_lifetimes_and_names():
    """Hours, days, weeks, never; names that are safe in a log line."""
    assert lifetime("12h").total_seconds() == 12 * 3600
    assert lifetime("8w").days == 56
    assert lifetime("never") is None
    assert check_name("PACS-2.north_wing")
    for bad in ("", "-x", "x" * 41, "a/b", "a\nb"):
        with pytest.raises(InvalidToken):
            check_name(bad)


CALLERS = """
[[receiver.callers]]
ae_title = "CR_ROOM_1"
[[receiver.callers]]
ae_title = "PACS_MAIN"
"""


@pytest.mark.parametrize(
    ("ae_title", "warned"),
    [
        ("PACS_MAIN", ""),
        ("PACS_MIAN", "Did you mean PACS_MAIN?"),
        ("pacs_main", "Did you mean PACS_MAIN?"),
        ("OTHER", "Configured calling AE titles: CR_ROOM_1, PACS_MAIN."),
    ],
)
@pytest.mark.usefixtures("run")
def test_a_token_for_a_title_that_may_not_send_is_warned_of(
    tmp_path, monkeypatch, ae_title, warned
):
    """The token is still created; the warning does not mix with its value."""
    file = tmp_path / "wetread.toml"
    file.write_text(CALLERS)
    monkeypatch.setenv("WETREAD_CONFIG", str(file))
    given = ["add", "router", "--scope", "stow", "--ae-title", ae_title]
    result = CliRunner().invoke(token, given, catch_exceptions=False)
    assert presented(result.stdout.strip())
    assert warned in result.stderr
    assert bool(result.stderr) is bool(warned)
    assert ("Did you mean" in result.stderr) is ("mean" in warned)


def test_the_list_of_tokens_cuts_nothing_at_80_columns(run, monkeypatch):
    """Long names and ids are wrapped into several lines."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "router-of-the-emergency-department"
    run("add", name, "--scope", "stow", "--scope", "read", "--ae-title", "SIXTEEN_LETTERS_")
    shown = run("list")
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    (made,) = json.loads(run("list", "--json"))
    for value in (made["id"], name, "SIXTEEN_LETTERS_"):
        rest = iter("".join(shown.split()))
        assert all(letter in rest for letter in value)
