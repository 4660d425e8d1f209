"""`/account`: the own password, and the own sessions, over a real socket."""

import re

import pytest

from service.accounts import Role, digest_of, new_secret
from service.audit import AuditAction, AuditOutcome
from service.errors import StoreNotWritable
from service.store.audit.trail import AuditFilter

PHRASE = "correct horse battery"
OTHER = "another horse battery"
FORM = {"current": PHRASE, "password": OTHER, "again": OTHER}


def log_in(site, password=PHRASE):
    """Return the Cookie header of a login by the form, "" if it is refused."""
    answer = site.post("/login", data={"name": "ann", "password": password}, as_="")
    return answer.headers.get("set-cookie", "").partition(";")[0]


def changes(site):
    """Return the audit records about accounts, the oldest first."""
    found = [record.event for record in reversed(site.store.audit_records(AuditFilter()))]
    return [each for each in found if each.action is AuditAction.CHANGED_ACCOUNT]


def test_a_person_changes_the_own_password_and_other_sessions_end(site, cookie_of):
    """This browser stays logged in, other people too; the old password is refused from now on."""
    elsewhere, eve = log_in(site), cookie_of(site.store, Role.VIEWER, login="eve")
    answer = site.post("/account/password", data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "../account?done=password")
    assert "Your password was changed" in site.get("/account?done=password").text
    assert site.get("/account", as_=elsewhere).status_code == 303
    assert site.get("/account", as_=eve).status_code == 200
    assert (bool(log_in(site)), bool(log_in(site, OTHER))) == (False, True)
    (event,) = changes(site)
    assert (event.actor, event.detail, event.address) == (
        "ann (web page)",
        "password of ann",
        "127.0.0.1",
    )
    assert PHRASE not in site.get("/admin/audit").text


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({"current": "wrong horse battery"}, 403, "The current password is wrong."),
        ({"again": "other"}, 400, "The two new passwords differ"),
        ({"password": "short", "again": "short"}, 400, "The password is too short"),
        ({"password": "x" * 1200, "again": "x" * 1200}, 400, "longer than 1024 bytes"),
    ],
)
def test_a_password_that_is_not_changed_is_explained(site, form, status, message):
    """The old one stays; no session ends; a wrong current password is in the audit trail."""
    elsewhere = log_in(site)
    answer = site.post("/account/password", data={**FORM, **form})
    assert answer.status_code == status
    assert message in answer.text
    assert site.get("/account", as_=elsewhere).status_code == 200
    assert log_in(site)
    refused = [each.outcome for each in changes(site)]
    assert refused == ([AuditOutcome.REFUSED] if status == 403 else [])


def test_guesses_are_limited_as_at_the_login(site):
    """Five wrong ones, then 429 even for the right one; the login counts them too."""
    wrong = {**FORM, "current": "wrong horse battery"}
    assert [site.post("/account/password", data=wrong).status_code for _ in range(5)] == [403] * 5
    answer = site.post("/account/password", data=FORM)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 301
    assert not log_in(site)


def test_a_change_that_cannot_be_audited_is_not_made(site, monkeypatch):
    """The record and the new hash are one transaction."""

    def full(*_given):
        raise StoreNotWritable("the disk of the database is full")

    with monkeypatch.context() as patched:
        patched.setattr(site.store, "_append_audit", full)
        assert site.post("/account/password", data=FORM).status_code == 503
    assert log_in(site)


def test_sessions_are_listed_and_ended(site, cookie_of):
    """One's own only; the reference on the page does not reveal the token or its digest."""
    elsewhere, eve = log_in(site), cookie_of(site.store, Role.VIEWER, login="eve")
    page = site.get("/account").text
    (reference,) = re.findall(r"account/sessions/([0-9a-f]+)/end", page)
    assert page.count("<strong>this session</strong>") == 1
    assert len(reference) < len(digest_of("x"))
    other = site.post(f"/account/sessions/{reference}/end", as_=eve)
    assert other.status_code == 303
    assert site.get("/account", as_=elsewhere).status_code == 200
    assert site.post(f"/account/sessions/{reference}/end").status_code == 303
    assert site.get("/account", as_=elsewhere).status_code == 303
    newest = site.store.audit_records(AuditFilter(), 1)[0].event
    assert (newest.action, newest.actor) == (AuditAction.LOGOUT, "ann (web page)")


def test_an_account_of_a_provider_is_changed_there(make_site):
    """The page states where to change it; a form that is still sent changes nothing."""
    issuer = "https://login.example/realm"
    site = make_site(
        oidc={"issuer": issuer, "client_id": "wetread", "viewer_groups": ["x"]},
        web={"port": 0, "public_url": "https://wetread.example/"},
    )
    account = site.store.oidc_person(
        issuer, "s1", login="kim", display_name="Dr. Kim", roles=frozenset({Role.VIEWER})
    )
    token, digest = new_secret()
    limits = site.here.sessions.limits
    assert site.store.open_session(digest, account.person.id, address="::1", limits=limits)
    kim = f"__Host-wetread={token}"
    page = site.get("/account", as_=kim).text
    assert f"You log in at <bdi>{issuer}</bdi>" in page
    assert "account/password" not in page
    answer = site.post("/account/password", data=FORM, as_=kim)
    assert answer.status_code == 400
    assert "kept at the login provider" in answer.text
