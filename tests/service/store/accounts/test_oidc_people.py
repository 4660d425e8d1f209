"""People whose accounts an OpenID provider keeps."""

import pytest

from service.accounts import InvalidAccount, Source
from service.audit import AuditAction, AuditEvent
from tests.service.store.accounts.people import ADMIN, VIEWER, add, is_open, log_in

ISSUER = "https://idp"


def person(store, subject="s1", login="lee", roles=VIEWER, **changes):
    """Return the account of a person of the provider."""
    given = {"login": login, "display_name": "Lee", "roles": roles}
    return store.oidc_person(ISSUER, subject, **given, **changes)


def test_the_first_login_makes_the_account(store):
    """Later ones bring name and roles up to date; a change of roles is audited and ends sessions."""
    records = []

    def audited(who, is_new):
        records.append((who.login, is_new))
        return AuditEvent(action=AuditAction.CHANGED_ROLES, actor=who.login)

    made = person(store, audited=audited)
    assert (made.source, made.has_password) == (Source.OIDC, False)
    log_in(store, made)
    assert person(store, audited=audited).person.id == made.person.id
    assert is_open(store)
    assert person(store, roles=ADMIN, audited=audited).person.roles == ADMIN
    assert not is_open(store)
    assert records == [("lee", True), ("lee", False)]


def test_a_login_name_that_is_taken_is_changed(store):
    """The local account stays as it is."""
    add(store, "lee")
    made = person(store)
    assert made.person.login.startswith("lee@")
    assert store.account_of("lee").source is Source.LOCAL
    assert person(store).person.id == made.person.id


def test_a_disabled_account_stays_out(store):
    """For any roles that the provider sends."""
    person(store)
    store.disable_person("lee")
    with pytest.raises(InvalidAccount, match="disabled by an administrator"):
        person(store)


def test_the_provider_ends_sessions_by_person_or_by_its_own_session(store):
    """Those of other issuers stay."""
    first, second = person(store), person(store, "s2", "mia")
    log_in(store, first, "a" * 64, oidc_sid="x")
    log_in(store, first, "b" * 64, oidc_sid="y")
    log_in(store, second, "c" * 64, oidc_sid="x2")
    assert store.end_oidc_sessions("https://other", subject="s1") == 0
    assert store.end_oidc_sessions(ISSUER, sid="x") == 1
    assert store.end_oidc_sessions(ISSUER, subject="s1") == 1
    assert [is_open(store, each * 64) for each in "abc"] == [False, False, True]
