import json
import re

import pytest
from click.testing import CliRunner

from service import schema
from service.commands.token import token
from service.config import load_settings
from service.errors import WetreadError
from service.store import Store
from service.tokens import InvalidToken, Scope, check_name, lifetime, mint, presented


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs `wetread token ARGUMENTS` against a database of its own."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    schema.upgrade(load_settings().database_url)

    def invoke(*arguments: str) -> str:
        result = CliRunner().invoke(token, arguments, catch_exceptions=True)
        if isinstance(result.exception, WetreadError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


def test_the_value_is_shown_once_and_only_its_hash_is_kept(run, tmp_path):
    """What is printed opens the door; no file of the service holds it."""
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
    """Two incidents tell who made and who ended it; afterwards the name may be given again."""
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
    """Odd names, a storing token without an AE title, lifetimes that are none."""
    with pytest.raises(InvalidToken, match=r"[a-z]{3}"):
        run(*arguments)


def test_a_value_has_256_random_bits_and_a_public_part():
    """Its form can be found by scanners of secrets; two are never equal."""
    (one, known), (other, _) = mint(), mint()
    assert re.fullmatch(r"wetread_[0-9a-f]{12}_[\w-]{43}", one)
    assert one != other
    assert presented(one) == known
    assert presented(one + "x") is presented("") is presented("wetread_x_y") is None
    assert not known.matches(presented(other).digest)


def test_lifetimes_and_names():
    """Hours, days, weeks, never; names that can stand in a log line."""
    assert lifetime("12h").total_seconds() == 12 * 3600
    assert lifetime("8w").days == 56
    assert lifetime("never") is None
    assert check_name("PACS-2.north_wing")
    for bad in ("", "-x", "x" * 41, "a/b", "a\nb"):
        with pytest.raises(InvalidToken):
            check_name(bad)
