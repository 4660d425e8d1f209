"""Password links: used once, in time, for an account in use."""

from datetime import timedelta

import pytest

from service.accounts import InvalidAccount
from tests.service.store.accounts.people import AUDIT, VIEWER, add, is_open, log_in

DAY = timedelta(days=1)


def invited(store, link="link"):
    """Return a new account without a password."""
    return store.invite(
        "lee",
        roles=VIEWER,
        display_name="Lee",
        dicom_name="Lee^A",
        link_digest=link,
        expires_at=store.now() + DAY,
        audit=AUDIT,
    )


def test_an_invited_person_sets_the_password_once(store):
    """Before that no login is possible; the link is used up."""
    account = invited(store)
    assert not account.has_password
    assert store.credentials_of("lee") is None
    assert store.account_of_link("link") == account
    assert store.use_password_link("link", "hash", AUDIT).has_password
    assert store.credentials_of("lee")[1] == "hash"
    assert store.account_of_link("link") is None
    with pytest.raises(InvalidAccount, match="expired or was used"):
        store.use_password_link("link", "other", AUDIT)


def test_a_link_expires_and_is_replaced(store, clock):
    """An account has one link."""
    invited(store)
    store.add_password_link("lee", "second", clock() + DAY, AUDIT)
    assert store.account_of_link("link") is None
    clock.move(86_400)
    assert store.account_of_link("second") is None
    with pytest.raises(InvalidAccount):
        store.use_password_link("second", "hash", AUDIT)


def test_the_password_in_force_stays_until_the_link_is_used(store, clock):
    """Then the sessions end."""
    account = add(store)
    log_in(store, account)
    store.add_password_link("kim", "link", clock() + DAY, AUDIT)
    assert store.credentials_of("kim")[1] == "hash"
    assert is_open(store)
    store.use_password_link("link", "new", AUDIT)
    assert not is_open(store)


def test_a_disabled_or_a_providers_account_has_no_link(store, clock):
    """An earlier link is void."""
    add(store, "ann")
    add(store)
    store.add_password_link("kim", "link", clock() + DAY, AUDIT)
    store.disable_person("kim")
    assert store.account_of_link("link") is None
    with pytest.raises(InvalidAccount, match="enable the account first"):
        store.add_password_link("kim", "link", clock() + DAY, AUDIT)
    store.oidc_person("https://idp", "s1", login="lee", display_name="", roles=VIEWER)
    with pytest.raises(InvalidAccount, match="https://idp"):
        store.add_password_link("lee", "link", clock() + DAY, AUDIT)
