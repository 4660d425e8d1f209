"""A person's own password and sessions."""

import pytest

from service.accounts import InvalidAccount, reference_of
from tests.service.store.accounts.people import AUDIT, LIMITS, VIEWER, add, is_open, log_in

NEW = "new"


def change(store, account, verified="hash"):
    """Replace the password from the session "a"."""
    store.change_own_password(
        account.person.id,
        verified_hash=verified,
        password_hash=NEW,
        session_digest="a" * 64,
        audit=AUDIT,
    )


def test_the_session_that_asks_goes_on(store):
    """All others end."""
    account = add(store)
    log_in(store, account)
    log_in(store, account, "b" * 64)
    change(store, account)
    assert (is_open(store), is_open(store, "b" * 64)) == (True, False)
    assert store.credentials_of("kim")[1] == NEW


def test_a_password_that_was_changed_meanwhile_is_not_overwritten(store):
    """The password of a provider's person is not stored here."""
    account = add(store)
    with pytest.raises(InvalidAccount, match="changed in the meantime"):
        change(store, account, "old")
    other = store.oidc_person("https://idp", "s1", login="lee", display_name="Lee", roles=VIEWER)
    with pytest.raises(InvalidAccount, match="logs in at https://idp"):
        change(store, other, "")


def test_sessions_are_listed_and_ended_by_their_reference(store, clock):
    """The latest used first; those of other people cannot be ended."""
    account, other = add(store), add(store, "lee")
    log_in(store, account)
    clock.move(60)
    log_in(store, account, "b" * 64)
    log_in(store, other, "c" * 64)
    found = [each.reference for each in store.open_sessions(account.person.id, LIMITS)]
    assert found == [reference_of("b" * 64), reference_of("a" * 64)]
    assert not store.end_own_session(account.person.id, reference_of("c" * 64), AUDIT)
    assert store.end_own_session(account.person.id, reference_of("a" * 64), AUDIT)
    assert (is_open(store), is_open(store, "c" * 64)) == (False, True)
    clock.move(3600)
    assert store.open_sessions(account.person.id, LIMITS) == []
