"""`wetread drafting` and `wetread model`: stop, start, choose, list, each recorded."""

import json

import pytest
from click.testing import CliRunner

from service.audit import AuditAction
from service.commands.drafting import drafting
from service.commands.models import model
from service.errors import ConfigurationError, WetreadError
from service.jobs import IllegalTransition
from service.settings.config import load_settings
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.databases import make_database

MODELS = [{"name": "second", "model": "tiny"}, {"name": "trial", "model": "demo", "shadow": True}]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs a command against a database of its own."""
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("WETREAD_MODELS", json.dumps(MODELS))
    make_database(load_settings().database_url)

    def invoke(command, *arguments: str) -> str:
        result = CliRunner().invoke(command, arguments)
        if isinstance(result.exception, WetreadError | IllegalTransition):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


def recorded():
    """Return what the audit trail has, the oldest first."""
    store = Store.open(load_settings())
    found = [(each.event.action, each.event.detail) for each in store.audit_records(AuditFilter())]
    store.close()
    return found[::-1]


def test_drafting_is_stopped_with_a_reason_and_started(run):
    """The state is printed; a second stop is refused."""
    assert run(drafting, "status") == "on\n"
    assert "(command line): wrong side." in run(drafting, "stop", "--reason", "wrong\nside")
    with pytest.raises(IllegalTransition, match="stopped already"):
        run(drafting, "stop", "--reason", "again")
    assert "wrong side" in run(drafting, "status")
    assert "Drafting was stopped" in run(model, "list")
    run(drafting, "start")
    assert run(drafting, "status") == "on\n"
    assert recorded() == [
        (AuditAction.STOPPED_DRAFTING, "wrong side"),
        (AuditAction.STARTED_DRAFTING, ""),
    ]


def test_a_model_is_chosen_and_listed(run):
    """A shadow model and an unknown one are refused by name."""
    assert run(model, "use", "second") == "second reads new studies\n"
    for name, words in (("trial", "is a shadow model"), ("third", "is not configured")):
        with pytest.raises(ConfigurationError, match=words):
            run(model, "use", name)
    found = json.loads(run(model, "list", "--json"))
    assert found["reads_new"] == "second"
    assert {each["name"]: each["is_shadow"] for each in found["models"]} == {
        "demo": False,
        "second": False,
        "trial": True,
    }
    assert "trial" in run(model, "list")
    assert recorded() == [(AuditAction.CHOSE_MODEL, "second")]
