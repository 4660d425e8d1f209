"""Bearer tokens: found by their secret, revoked, expired, and the time of their use."""

from datetime import timedelta

import pytest

from service.records import IncidentKind
from service.tokens import InvalidToken, Scope, mint, presented


def add(store, name="pacs", expires=None):
    """Add a token; return its value."""
    value, credential = mint()
    store.add_token(
        credential,
        name=name,
        scopes=frozenset({Scope.METRICS}),
        ae_title="",
        expires_at=expires,
        actor="kim",
    )
    return value


def test_a_token_is_known_by_its_secret(store):
    """Another secret with the same id is not; an incident reports the new token."""
    value = add(store)
    found = store.token_of(presented(value))
    assert (found.name, found.scopes) == ("pacs", frozenset({Scope.METRICS}))
    wrong = presented(value[:-4] + ("AAAA" if value[-4:] != "AAAA" else "BBBB"))
    assert store.token_of(wrong) is None
    assert store.known_token(wrong) is None
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == (IncidentKind.TOKEN_ADDED.value, "pacs")


def test_a_use_is_noted_once_a_minute(store, clock):
    """A token in steady use costs no write for each request."""
    value = presented(add(store))
    store.token_of(value)
    first = clock()
    clock.move(59)
    store.token_of(value)
    assert store.tokens()[0].last_used_at == first
    clock.move(1)
    store.token_of(value)
    assert store.tokens()[0].last_used_at == clock()


def test_an_expired_or_revoked_token_is_known_but_not_in_force(store, clock):
    """By name or by id; the name can be given again."""
    expired = presented(add(store, "old", clock() + timedelta(hours=1)))
    clock.move(3600)
    assert store.token_of(expired) is None
    assert store.known_token(expired).name == "old"
    value = presented(add(store))
    assert store.revoke_token("pacs", "kim").revoked_at == clock()
    assert store.token_of(value) is None
    with pytest.raises(InvalidToken, match="revoked already"):
        store.revoke_token("pacs", "kim")
    again = add(store)
    with pytest.raises(InvalidToken, match="a token pacs already"):
        add(store)
    assert store.revoke_token(presented(again).id, "kim").name == "pacs"


def test_an_incident_about_a_token_is_recorded_once_in_a_time(store, clock):
    """Then again."""
    add(store)
    (token,) = store.tokens()
    note = {"actor": "sweeper", "detail": "It expires."}
    kind = IncidentKind.TOKEN_REVOKED
    since = clock()
    assert store.note_token(token, kind, since=since, **note)
    assert not store.note_token(token, kind, since=since, **note)
    clock.move(10)
    assert store.note_token(token, kind, since=clock(), **note)
