"""`wetread user`, as a command line."""

import json
import os
import subprocess
import sys

import pytest

from service.accounts import Role
from service.passwords import verify_password
from service.store import Store
from tests.databases import make_database

PHRASE = "correct horse battery"


@pytest.fixture
def site(tmp_path):
    """The folder of a site with a migrated database, and its store."""
    url = f"sqlite:///{tmp_path / 'wetread.db'}"
    make_database(url)
    store = Store(url)
    yield tmp_path, store
    store.close()


def wetread(folder, *arguments, given=""):
    """Return the finished command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WETREAD_")}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "user", *arguments],
        env={**clean, "WETREAD_DATA_DIR": str(folder), "COLUMNS": "200"},
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
    )


def test_an_account_lives_from_add_to_disable(site):
    """The password comes by standard input, and is printed nowhere; roles and state change."""
    folder, store = site
    done = wetread(
        *(folder, "add", "Kim", "--role", "radiologist", "--role", "viewer"),
        *("--name", "Dr. Kim", "--dicom-name", "Kim^Jiyoung"),
        given=f"{PHRASE}\n",
    )
    assert (done.returncode, done.stdout) == (0, "kim added: radiologist, viewer\n")
    account, stored = store.credentials_of("kim")
    assert verify_password(stored, PHRASE)
    assert account.person.dicom_name == "Kim^Jiyoung"
    (listed,) = json.loads(wetread(folder, "list", "--json").stdout)
    assert (listed["login"], listed["state"]) == ("kim", "active")
    assert "argon2" not in json.dumps(listed)
    assert wetread(folder, "roles", "kim", "--role", "admin").returncode == 0
    assert store.account_of("kim").person.roles == {Role.ADMIN}
    assert wetread(folder, "password", "kim", given="another horse battery\n").returncode == 0
    assert verify_password(store.credentials_of("kim")[1], "another horse battery")
    last = wetread(folder, "disable", "kim")
    assert (last.returncode, "kim is the last admin" in last.stderr) == (1, True)
    assert wetread(folder, "add", "eve", "--role", "admin", given=f"{PHRASE}\n").returncode == 0
    assert wetread(folder, "disable", "kim").returncode == 0
    assert store.credentials_of("kim") is None
    assert "disabled" in wetread(folder, "list").stdout
    assert wetread(folder, "enable", "kim").returncode == 0
    assert store.credentials_of("kim") is not None


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        (["add", "a b", "--role", "admin"], PHRASE, "is not a login name"),
        (["add", "ann", "--role", "admin"], "short", "the password is too short"),
        (["add", "ann", "--role", "admin"], "annannannannann", "the login name"),
        (["add", "ann", "--role", "admin"], "", "standard input is empty"),
        (["add", "ann", "--role", "king"], PHRASE, "'king' is not one of"),
        (["add", "ann"], PHRASE, "--role"),
        (["disable", "bob"], "", "there is no account bob"),
        (["password", "bob"], PHRASE, "there is no account bob"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(site, arguments, given, expected):
    """The message states the fault; no account is created."""
    folder, store = site
    done = wetread(folder, *arguments, given=given)
    assert done.returncode != 0
    assert expected in done.stderr
    assert store.accounts() == []


def test_a_taken_name_stays_what_it_was(site):
    """A second account of the same name is refused, in any case of its letters."""
    folder, store = site
    assert wetread(folder, "add", "ann", "--role", "admin", given=PHRASE).returncode == 0
    done = wetread(folder, "add", "ANN", "--role", "viewer", given=PHRASE)
    assert "there is an account ann already" in done.stderr
    assert store.account_of("ann").person.roles == {Role.ADMIN}
