"""Tokens that are made for people, and calling AE titles that are not configured."""

from datetime import timedelta

from service.audit import AuditAction, AuditEvent
from service.maintenance.issued_tokens import issue_token, unknown_calling_ae
from service.settings.config import load_settings
from service.store.audit.trail import AuditFilter
from service.tokens import Scope, new_token, presented


def test_a_token_is_stored_with_its_record(store, clock):
    """Its value can be used; it expires after its lifetime."""
    wanted = new_token("pacs", ["metrics"], expires="90d", ae_title="")
    event = AuditEvent(action=AuditAction.CHANGED_TOKEN, actor="kim")
    found = store.token_of(presented(issue_token(store, wanted, event)))
    assert (found.name, found.scopes) == ("pacs", frozenset({Scope.METRICS}))
    assert found.expires_at == clock() + timedelta(days=90)
    (record,) = store.audit_records(AuditFilter())
    assert record.event.detail == "added pacs: metrics"


def test_an_unknown_title_has_a_suggestion(tmp_path):
    """The nearest of those that are configured."""
    settings = load_settings(
        data_dir=tmp_path, receiver={"callers": [{"ae_title": "CR1"}, {"ae_title": "DX_ROOM"}]}
    )
    assert unknown_calling_ae(settings, "CR1") == unknown_calling_ae(settings, "") == ""
    text = unknown_calling_ae(settings, "DX_ROM")
    assert "DX_ROM is not among receiver.callers" in text
    assert "Did you mean DX_ROOM?" in text
    assert "Did you mean" not in unknown_calling_ae(settings, "ZZZZ")
