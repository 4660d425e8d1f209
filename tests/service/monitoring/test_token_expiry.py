"""A token that expires soon is reported before its user is refused."""

from datetime import timedelta

import pytest

from service.monitoring.token_expiry import TokenExpiry, tokens_at_risk
from service.records import IncidentKind
from service.tokens import Scope, TokenState, mint


@pytest.fixture
def add(store):
    """A function: name, lifetime -> the token, and a function that presents it."""

    def make(name, lives, scope=Scope.STOW):
        _, credential = mint()
        token = store.add_token(
            credential,
            name=name,
            scopes=frozenset({scope}),
            ae_title="PACS" if scope is Scope.STOW else "",
            expires_at=store.now() + lives if lives else None,
            actor="test",
        )
        return token, credential

    return make


@pytest.mark.parametrize(
    ("lives", "left", "state"),
    [
        (timedelta(days=90), timedelta(days=15), TokenState.ACTIVE),
        (timedelta(days=90), timedelta(days=14), TokenState.EXPIRING),
        (timedelta(hours=12), timedelta(hours=4), TokenState.ACTIVE),
        (timedelta(hours=12), timedelta(hours=3), TokenState.EXPIRING),
        (timedelta(days=90), timedelta(0), TokenState.EXPIRED),
    ],
)
def test_the_warning_begins_in_time(lives, left, state, add, store, clock):
    """Two weeks before the end, or in the last quarter of a shorter life; it is in force until then."""
    token, credential = add("router", lives)
    clock.move((lives - left).total_seconds())
    assert token.state(clock()) is state
    assert (store.token_of(credential) is not None) is (state is not TokenState.EXPIRED)


def test_each_state_is_one_incident(add, store, clock):
    """It is recorded once that it expires soon and once that it has, by however many sweepers."""
    add("router", timedelta(days=90))
    add("forever", None)
    clock.move(80 * 86400)
    for _ in range(2):
        TokenExpiry(store).check()
        TokenExpiry(store).check()
    clock.move(20 * 86400)
    TokenExpiry(store).check()
    TokenExpiry(store).check()
    found = [
        each
        for each in store.incidents()
        if each.kind in {IncidentKind.TOKEN_EXPIRES_SOON, IncidentKind.TOKEN_EXPIRED}
    ]
    assert [(each.kind, each.subject) for each in found] == [
        (IncidentKind.TOKEN_EXPIRED, "router"),
        (IncidentKind.TOKEN_EXPIRES_SOON, "router"),
    ]
    assert "images that PACS sends by STOW-RS are answered 401" in found[0].detail
    assert "2026-05-30" in found[1].detail


def test_a_revoked_token_is_no_risk_and_a_new_one_of_its_name_is_reported_anew(add, store, clock):
    """Revoking ends the warning; the next token of the same name is warned of in its own time."""
    add("router", timedelta(days=90), Scope.READ)
    clock.move(80 * 86400)
    TokenExpiry(store).check()
    store.revoke_token("router", "test")
    assert list(tokens_at_risk(store)) == []
    clock.move(1)
    add("router", timedelta(days=90), Scope.READ)
    clock.move(80 * 86400)
    TokenExpiry(store).check()
    kinds = [each.kind for each in store.incidents()]
    assert kinds.count(IncidentKind.TOKEN_EXPIRES_SOON) == 2
