"""Bearer tokens: their form, permissions and expiry."""

from datetime import UTC, datetime, timedelta

import pytest

from service.tokens import (
    InvalidToken,
    Scope,
    Token,
    TokenState,
    check_name,
    lifetime,
    mint,
    new_token,
    presented,
)

MADE = datetime(2026, 3, 1, tzinfo=UTC)


def token(**changes):
    """Return a token that was made on 1 March."""
    values = {
        "id": "0" * 12,
        "name": "pacs",
        "scopes": frozenset({Scope.READ}),
        "ae_title": "",
        "created_at": MADE,
        "created_by": "kim",
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": None,
    }
    return Token(**{**values, **changes})


def test_a_minted_token_is_recognized():
    """By id and secret; two tokens differ."""
    value, credential = mint()
    assert presented(value) == credential
    assert credential.matches(presented(value).digest)
    other, _ = mint()
    assert not credential.matches(presented(other).digest)


@pytest.mark.parametrize("value", ["", "wetread_", "Bearer x", "wetread_" + "0" * 12 + "_short"])
def test_what_has_another_form_is_none(value):
    """The database is not queried for it."""
    assert presented(value) is None


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (Scope.READ, {Scope.READ, Scope.METRICS}),
        (Scope.ADMIN, {Scope.ADMIN, Scope.READ, Scope.METRICS}),
        (Scope.STOW, {Scope.STOW}),
        (Scope.METRICS, {Scope.METRICS}),
        (Scope.DECISIONS, {Scope.DECISIONS}),
        (Scope.REPORTS, {Scope.REPORTS}),
    ],
)
def test_what_a_scope_includes(scope, allowed):
    """No scope includes another's writing."""
    assert {each for each in Scope if token(scopes=frozenset({scope})).allows(each)} == allowed


@pytest.mark.parametrize(
    ("days", "left", "state"),
    [
        (90, 15, TokenState.ACTIVE),
        (90, 14, TokenState.EXPIRING),
        (8, 3, TokenState.ACTIVE),
        (8, 2, TokenState.EXPIRING),
        (8, 0, TokenState.EXPIRED),
    ],
)
def test_the_warning_begins_in_time(days, left, state):
    """Two weeks before, or in the last quarter of a short life."""
    expires = MADE + timedelta(days=days)
    found = token(expires_at=expires).state(expires - timedelta(days=left))
    assert found is state
    assert found.is_in_force is (state is not TokenState.EXPIRED)


def test_revoked_and_endless_tokens():
    """A revoked one is not in force, for any expiry."""
    assert token().state(MADE + timedelta(days=9999)) is TokenState.ACTIVE
    assert token(revoked_at=MADE).state(MADE) is TokenState.REVOKED
    assert (
        "CR1 sends by STOW-RS"
        in token(scopes=frozenset({Scope.STOW}), ae_title="CR1").consequence()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("8w", timedelta(weeks=8)),
        ("never", None),
    ],
)
def test_a_lifetime_in_words(text, expected):
    """A number and a unit."""
    assert lifetime(text) == expected


@pytest.mark.parametrize("text", ["", "0d", "90", "d", "1.5h", "-1d", "999999d"])
def test_another_lifetime_is_refused(text):
    """With an example."""
    with pytest.raises(InvalidToken, match="90d"):
        lifetime(text)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scopes": ["all"]}, "all"),
        ({"scopes": []}, "at least one scope"),
        ({"scopes": ["stow"]}, "given together"),
        ({"ae_title": "CR1"}, "given together"),
        ({"ae_title": "A\\B", "scopes": ["stow"]}, "AE title"),
        ({"name": "-x"}, "name"),
    ],
)
def test_a_token_that_cannot_be_made(changes, problem):
    """The message states the reason."""
    given = {"name": "pacs", "scopes": ["read"], "expires": "90d", "ae_title": "", **changes}
    name, scopes = given.pop("name"), given.pop("scopes")
    with pytest.raises(InvalidToken, match=problem):
        new_token(name, scopes, **given)
    assert check_name("pacs-1.a_b") == "pacs-1.a_b"
