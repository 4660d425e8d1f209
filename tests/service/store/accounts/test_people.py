"""Accounts: names, roles, passwords, and the last admin."""

from datetime import timedelta

import pytest

from service.accounts import InvalidAccount, Source
from service.audit import AuditAction
from service.store.audit.trail import AuditFilter
from tests.service.store.accounts.people import ADMIN, AUDIT, VIEWER, add, is_open, log_in


def test_an_account_is_found_by_its_name(store, clock):
    """In any case; its record states how the person logs in."""
    made = add(store, "kim", display_name="Kim")
    assert store.account_of("KIM") == made
    assert (made.source, made.has_password, made.created_at) == (Source.LOCAL, True, clock())
    assert store.credentials_of("kim") == (made, "hash")
    assert store.credentials_of("lee") is None
    with pytest.raises(InvalidAccount, match="no account lee"):
        store.account_of("lee")


def test_a_name_is_given_once(store):
    """Also after the account was disabled."""
    add(store)
    add(store, "lee")
    store.disable_person("kim")
    with pytest.raises(InvalidAccount, match="an account kim already"):
        add(store)
    assert [each.person.login for each in store.accounts()] == ["kim", "lee"]


def test_a_change_of_roles_ends_the_sessions(store):
    """The same roles again end none; the trail has each change."""
    add(store, "ann")
    account = add(store, "kim", VIEWER)
    log_in(store, account)
    store.set_roles("kim", VIEWER, AUDIT)
    assert is_open(store)
    assert store.set_roles("kim", ADMIN, AUDIT).person.roles == ADMIN
    assert not is_open(store)
    found = store.audit_records(AuditFilter())
    assert [each.event.action for each in found] == [AuditAction.CHANGED_ACCOUNT] * 2


def test_the_last_admin_stays(store):
    """Neither the role nor the account can be removed from the only admin who can log in."""
    add(store)
    for change in (lambda: store.set_roles("kim", VIEWER), lambda: store.disable_person("kim")):
        with pytest.raises(InvalidAccount, match="kim is the last admin who can log in"):
            change()
    add(store, "lee")
    assert store.set_roles("kim", VIEWER).person.roles == VIEWER


def test_a_disabled_account_has_no_session_and_no_login(store):
    """Until it is enabled again."""
    add(store, "ann")
    account = add(store)
    log_in(store, account)
    assert store.disable_person("kim").disabled_at == store.now()
    assert not is_open(store)
    assert store.credentials_of("kim") is None
    assert store.disable_person("kim", disabled=False).disabled_at is None
    assert store.credentials_of("kim") is not None


def test_a_new_password_ends_the_sessions(store):
    """A hash with newer parameters does not."""
    account = add(store)
    log_in(store, account)
    store.renew_password_hash(account.person.id, "newer")
    assert is_open(store)
    store.set_password_hash("kim", "other", AUDIT)
    assert not is_open(store)
    assert store.credentials_of("kim")[1] == "other"


def test_the_set_up_link_makes_the_first_account_once(store, clock):
    """It expires, it is replaced by a new one, and it has no effect once there is an account."""
    soon = clock() + timedelta(hours=1)
    assert store.add_setup_link("old", soon)
    assert store.add_setup_link("new", soon)
    assert (store.is_setup_link("old"), store.is_setup_link("new")) == (False, True)
    clock.move(3601)
    assert not store.is_setup_link("new")
    store.add_setup_link("newer", clock() + timedelta(hours=1))
    given = {"display_name": "Kim", "password_hash": "h"}
    assert store.add_first_person("newer", "kim", **given).person.roles == ADMIN
    with pytest.raises(InvalidAccount, match="expired or was used"):
        store.add_first_person("newer", "lee", **given)
    assert not store.add_setup_link("late", clock() + timedelta(hours=1))
    assert store.has_accounts()
