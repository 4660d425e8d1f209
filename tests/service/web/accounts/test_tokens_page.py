"""`/tokens`: an admin makes and revokes tokens of programs, over a real socket."""

import re

import pytest

from service.audit import AuditAction
from service.store.audit.trail import AuditFilter
from service.tokens import Scope

FORM = {"name": "monitor", "scope": ["read", "decisions:read"], "expires": "90d"}


def value_in(answer):
    """Return the token that a page shows."""
    assert answer.status_code == 200, answer.text
    return re.search(r'id="value">(wetread_[\w-]+)<', answer.text)[1]


def test_a_token_is_shown_once_works_and_is_revoked(site):
    """With its scopes and expiry; the actions are in the audit trail."""
    value = value_in(site.post("/tokens", data=FORM))
    bearer = {"Authorization": f"Bearer {value}"}
    assert site.get("/api/jobs", headers=bearer, as_="").status_code == 200
    (token,) = site.store.tokens()
    assert token.scopes == {Scope.READ, Scope.DECISIONS}
    assert round((token.expires_at - token.created_at).total_seconds() / 86400) == 90
    page = site.get("/tokens").text
    assert value not in page
    assert "decisions:read, read" in page
    assert f"{token.expires_at.astimezone():%d %b %Y}" in page
    assert "Revoke monitor" in page
    assert site.post(f"/tokens/{token.id}/revoke").status_code == 303
    assert "<strong>revoked</strong>" in site.get("/tokens").text
    assert site.get("/api/jobs", headers=bearer, as_="").status_code == 401
    assert site.post(f"/tokens/{token.id}/revoke").status_code == 400
    events = [record.event for record in reversed(site.store.audit_records(AuditFilter()))]
    assert [(each.action, each.actor, each.detail) for each in events] == [
        (AuditAction.CHANGED_TOKEN, "ann (web page)", "added monitor: decisions:read, read"),
        (AuditAction.CHANGED_TOKEN, "ann (web page)", "revoked monitor"),
    ]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"name": "a b"}, "A token&#39;s name has 1 to 40 letters"),
        ({"scope": []}, "Choose at least one scope"),
        ({"scope": ["root"]}, "is not a valid Scope"),
        ({"scope": ["stow"]}, "must be given together"),
        ({"ae_title": "PACS"}, "must be given together"),
        ({"scope": ["stow"], "ae_title": "é"}, "Not a valid AE title"),
        ({"expires": "1y"}, "The lifetime is a number"),
    ],
)
def test_what_cannot_be_made_is_explained_and_kept_in_the_form(site, form, message):
    """Nothing is made."""
    answer = site.post("/tokens", data={**FORM, **form})
    assert answer.status_code == 400
    assert message in answer.text
    assert f'name="name" value="{form.get("name", "monitor")}"' in answer.text
    assert site.store.tokens() == []


def test_a_token_of_an_unknown_calling_ae_is_made_with_a_warning(site):
    """As by the command."""
    form = {**FORM, "scope": ["stow"], "ae_title": "MODALTY"}
    answer = site.post("/tokens", data=form)
    assert value_in(answer)
    assert "Did you mean MODALITY?" in answer.text
    known = site.post("/tokens", data={**form, "name": "other", "ae_title": "MODALITY"})
    assert "Did you mean" not in known.text
