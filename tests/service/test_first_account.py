"""The set-up link of `wetread up`, and the accounts of the demo."""

from datetime import timedelta

import pytest

from service.accounts import Role, check_password, digest_of
from service.first_account import demo_accounts, setup_link
from service.passwords import verify_password
from service.settings.config import settings_of


@pytest.mark.parametrize(
    ("web", "root"),
    [
        ({}, "http://127.0.0.1:8100/"),
        ({"host": "0.0.0.0", "plain_http": True}, "http://localhost:8100/"),  # noqa: S104
        ({"host": "::1", "port": 9000}, "http://[::1]:9000/"),
        ({"tls_certificate": "/c", "tls_key": "/k", "host": "10.0.0.5"}, "https://localhost:8100/"),
        ({"port": 0}, "/"),
    ],
)
def test_a_new_link_replaces_the_one_before(store, web, root):
    """It names the page's address, and lasts an hour."""
    settings = settings_of({"web": web})
    first, second = (setup_link(store, settings, "kim (command line)") for _ in range(2))
    assert first.startswith(f"{root}setup/")
    assert {(each.event.actor, each.event.detail) for each in store.audit_from()} == {
        ("kim (command line)", "made the set-up link for the first account")
    }
    digests = [digest_of(link.rpartition("/")[2]) for link in (first, second)]
    assert [store.is_setup_link(each) for each in digests] == [False, True]
    begun = store.now()
    store._clock = lambda: begun + timedelta(minutes=61)
    assert not store.is_setup_link(digests[1])


def test_the_demo_has_an_account_for_each_role(store):
    """Each with its password; no link is made any more."""
    made = list(demo_accounts(store))
    assert [role for role, _, _ in made] == list(Role)
    for role, login, password in made:
        account, stored = store.credentials_of(login)
        assert account.person.roles == {role}
        assert verify_password(stored, check_password(password, login))
    assert setup_link(store, settings_of({}), "kim (command line)") == ""
    assert [each.event.detail for each in store.audit_from()] == [
        f"added {role}: {role}" for role in Role
    ]
