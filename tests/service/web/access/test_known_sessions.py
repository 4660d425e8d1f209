"""Sessions are looked up, and remembered while the database is unavailable."""

from datetime import timedelta
from types import SimpleNamespace

import anyio
import pytest

from service.accounts import Role, digest_of
from service.errors import StoreUnavailable
from service.web.access.known_sessions import KnownSessions, limits_of

WEB = SimpleNamespace(session_idle_minutes=30, session_hours=10)


@pytest.fixture
def known(store, monkeypatch):
    """The sessions of a store with one login, whose token is "token"; `away` makes it unavailable."""
    account = store.add_person("kim", roles=frozenset({Role.VIEWER}), password_hash="", actor="t")
    sessions = KnownSessions(store, WEB)
    store.open_session(digest_of("token"), account.person.id, address="", limits=sessions.limits)

    def away():
        def fails(*_, **__):
            raise StoreUnavailable("away")

        monkeypatch.setattr(store, "session_of", fails)

    sessions.away = away
    return sessions


def find(known, token="token"):  # noqa: S107 - of this test
    """Return the session of a token."""

    async def run():
        return await known.find(token, touch=False)

    return anyio.run(run)


def test_a_session_is_found_by_its_token(known):
    """Another token, or one that is too long, has none."""
    assert find(known).person.login == "kim"
    assert find(known, "other") is None
    assert find(known, "t" * 65) is None
    assert find(known, "") is None


def test_a_session_is_remembered_for_five_minutes(known, clock):
    """While the database is unavailable; a session that was not used lately is not known."""
    found = find(known)
    known.away()
    clock.move(299)
    assert find(known) == found
    clock.move(2)
    with pytest.raises(StoreUnavailable):
        find(known)
    with pytest.raises(StoreUnavailable):
        find(known, "other")

    async def holds():
        return await known.is_in_force(found)

    assert anyio.run(holds)


def test_the_limits_of_the_settings():
    """In minutes and hours."""
    limits = limits_of(WEB)
    assert (limits.idle, limits.absolute) == (timedelta(minutes=30), timedelta(hours=10))
