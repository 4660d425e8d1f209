"""The store of the settings for the length of a command, and the name of its user."""

import getpass

import pytest

from service.audit import AuditAction
from service.commands.audited import event, note
from service.commands.opened import actor, open_store
from service.errors import SchemaMismatch
from service.settings.config import load_settings
from service.store.audit.trail import AuditFilter
from tests.databases import make_database


def test_a_command_records_the_user_of_the_machine(tmp_path, monkeypatch):
    """A database of another revision is refused before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    with pytest.raises(SchemaMismatch), open_store():
        pass
    make_database(load_settings().database_url)
    with open_store() as store:
        note(store, AuditAction.EXPORTED, detail="x")
        (record,) = store.audit_records(AuditFilter())
    assert record.event == event(AuditAction.EXPORTED, "x")
    assert record.event.actor == actor() == f"{getpass.getuser()} (command line)"
