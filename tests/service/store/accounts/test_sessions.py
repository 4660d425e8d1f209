"""Sessions: their limits, and the times of requests."""

from service.audit import AuditAction, AuditEvent
from tests.service.store.accounts.people import LIMITS, add, is_open, log_in

PROVIDER = {"id_token": "token", "oidc_sid": "s1"}


def test_a_session_ends_when_idle_and_by_its_absolute_limit(store, clock):
    """A request prolongs the idle time, not the other."""
    log_in(store, add(store))
    for _ in range(24):
        clock.move(24 * 60)
        assert store.session_of("a" * 64, LIMITS) is not None
    clock.move(24 * 60)
    assert store.session_of("a" * 64, LIMITS) is None
    log_in(store, store.account_of("kim"), "b" * 64)
    clock.move(30 * 60)
    assert not is_open(store, "b" * 64)


def test_a_request_of_a_program_does_not_prolong_it(store, clock):
    """As a page's own updates; requests within a minute are written once."""
    log_in(store, add(store))
    begun = clock()

    def seen(**touch):
        store.session_of("a" * 64, LIMITS, **touch)
        return store.session_of("a" * 64, LIMITS, touch=False).seen_at

    clock.move(59)
    assert seen() == begun
    clock.move(600)
    assert seen(touch=False) == begun
    assert seen() == clock()


def test_the_login_is_noted_and_refused_for_a_disabled_account(store, clock):
    """It may have been disabled while the password was verified."""
    add(store, "ann")
    account = add(store)
    assert log_in(store, account).person == account.person
    assert store.account_of("kim").last_login_at == clock()
    store.disable_person("kim")
    assert log_in(store, account, "b" * 64) is None


def test_a_logout_names_the_person_and_the_providers_token(store):
    """A second one finds nothing."""
    account = add(store)
    log_in(store, account, **PROVIDER)

    def audited(person):
        return AuditEvent(action=AuditAction.LOGOUT, actor=person.login)

    assert store.end_session("a" * 64, audited) == (account.person, "token")
    assert store.end_session("a" * 64, audited) is None
    assert not is_open(store)
