"""`wetread check` names what prevents people from logging in, before they try."""

import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import text

from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.checks.accounts import accounts, audit_trail, provider, secrets
from service.checks.check import Grade
from service.database.engine import make_engine
from service.settings.config import Settings
from service.store import Store
from tests.databases import make_database

HASH = "$argon2id$"
OIDC = {
    "issuer": "http://127.0.0.1:9/realm",
    "client_id": "wetread",
    "client_secret": "s",
    "viewer_groups": ["viewers"],
}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings with a database of their own."""
    monkeypatch.chdir(tmp_path)
    made = Settings(data_dir=tmp_path)
    make_database(made.database_url)
    return made


@pytest.fixture
def store(settings):
    """The store of these settings."""
    opened = Store.open(settings)
    yield opened
    opened.close()


def with_provider(settings, **changes):
    """Return the settings with an OpenID provider."""
    made = Settings(
        data_dir=settings.data_dir,
        web={"public_url": "https://wetread.example"},
        oidc={**OIDC, **changes},
    )
    return settings.model_copy(update={"oidc": made.oidc})


def add(store, name, *roles, **options):
    """Add an account."""
    store.add_person(name, roles=frozenset(roles), password_hash=HASH, actor="t", **options)


def test_a_missing_database_is_made_by_the_first_start(tmp_path):
    """Before that, missing accounts and records are no fault."""
    settings = Settings(data_dir=tmp_path / "new")
    assert accounts(settings).grade is Grade.NOTE
    assert audit_trail(settings).grade is Grade.NOTE


def test_local_accounts_need_an_admin_in_force(settings, store):
    """None, without an admin, with one, and all disabled: each message states what to do."""
    found = accounts(settings)
    assert (found.grade, "wetread user add NAME --role admin" in found.detail) == (
        Grade.WARNING,
        True,
    )
    add(store, "rae", Role.RADIOLOGIST)
    found = accounts(settings)
    assert found.grade is Grade.FAULT
    assert found.detail.startswith("none of the 1 in force has the role admin: ")
    store.disable_person("rae")
    found = accounts(settings)
    assert (found.grade, found.detail.startswith("all 1 are disabled")) == (Grade.FAULT, True)
    store.disable_person("rae", disabled=False)
    add(store, "ada", Role.ADMIN, Role.VIEWER)
    found = accounts(settings)
    assert found.grade is Grade.OK
    assert found.detail == (
        "2 in force (1 admin, 1 radiologist, 1 viewer); passwords only, no OpenID provider is set "
        "([oidc])"
    )


def test_with_a_provider_one_account_is_for_emergencies(settings, store):
    """An admin's group or a break-glass account; without the latter an outage locks all out."""
    assert accounts(with_provider(settings)).grade is Grade.FAULT
    by_groups = with_provider(settings, admin_groups=["admins"])
    found = accounts(by_groups)
    assert found.grade is Grade.WARNING
    assert "--break-glass" in found.detail
    add(store, "local", Role.ADMIN)
    assert accounts(by_groups).grade is Grade.WARNING  # it may not log in: local_accounts is off
    add(store, "glass", Role.ADMIN, break_glass=True)
    assert accounts(by_groups).grade is Grade.OK


@pytest.fixture
def idp():
    """A provider's metadata: what it answers may be set."""

    class Handler(BaseHTTPRequestHandler):
        answer = (200, b"{}")

        def do_GET(self):
            """Answer any path."""
            status, body = self.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}/realm"
    server.handler = Handler
    yield server
    server.shutdown()


def test_the_provider_must_answer_as_the_issuer(settings, idp, free_port):
    """Unavailable, an error, no metadata, another issuer: a fault with the address; else in order."""
    away = f"http://127.0.0.1:{free_port()}/realm"
    found = provider(with_provider(settings, issuer=away))
    assert (found.grade, away in found.detail) == (Grade.FAULT, True)
    configured = with_provider(settings, issuer=idp.url)
    for answer, words in (
        ((404, b"no"), "it answers 404"),
        ((200, b"<html>"), "not the metadata"),
        ((200, b"[]"), "not the metadata"),
        ((200, json.dumps({"issuer": "https://other"}).encode()), "states the issuer"),
    ):
        idp.handler.answer = answer
        found = provider(configured)
        assert found.grade is Grade.FAULT
        assert words in found.detail
    idp.handler.answer = (200, json.dumps({"issuer": idp.url}).encode())
    assert provider(configured).grade is Grade.OK


@pytest.fixture
def open_folder(monkeypatch):
    """A folder that every user may enter, with a settings file and a database."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        for file in ("wetread.toml", "wetread.db"):
            (folder / file).write_text("")
            (folder / file).chmod(0o640)
        yield folder


def test_files_with_secrets_are_not_for_everybody(open_folder):
    """Settings file and SQLite database, unless a folder above is closed; an empty client secret."""
    settings = Settings(data_dir=open_folder)
    config, database = open_folder / "wetread.toml", open_folder / "wetread.db"
    assert secrets(settings).grade is Grade.OK
    config.chmod(0o644)
    found = secrets(settings)
    assert found.grade is Grade.WARNING
    assert "wetread.toml: can be read by every user of this machine: chmod o-rwx" in found.detail
    database.chmod(0o666)
    found = secrets(settings)
    assert (found.grade, str(database) in found.detail) == (Grade.FAULT, True)
    open_folder.chmod(0o750)
    assert secrets(settings).grade is Grade.OK
    assert secrets(with_provider(settings)).grade is Grade.OK
    found = secrets(with_provider(settings, client_secret=""))
    assert (found.grade, "client_secret is empty" in found.detail) == (Grade.WARNING, True)


def test_a_broken_audit_trail_is_a_fault(settings, store, monkeypatch):
    """A record that was changed despite the triggers; only the newest are checked."""
    assert audit_trail(settings).detail == "no records"
    for number in range(5):
        store.record_audit(AuditEvent(action=AuditAction.VIEWED, actor=f"kim {number}"))
    assert audit_trail(settings).detail == "5 records follow each other, the newest is 5"
    engine = make_engine(settings.database_url)
    with engine.begin() as connection:
        for (name,) in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("UPDATE audit_records SET actor = 'eve' WHERE id = 2"))
    engine.dispose()
    found = audit_trail(settings)
    assert found.grade is Grade.FAULT
    assert found.detail.startswith("broken: record 2 was changed")
    monkeypatch.setattr("service.checks.accounts._NEWEST", 2)
    assert audit_trail(settings).detail == "2 records follow each other, the newest is 5"
