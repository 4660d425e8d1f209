"""Accounts and sessions in a store, for the tests of accounts."""

from datetime import timedelta

from service.accounts import Role, SessionLimits
from service.audit import AuditAction, AuditEvent

LIMITS = SessionLimits(idle=timedelta(minutes=30), absolute=timedelta(hours=10))
AUDIT = AuditEvent(action=AuditAction.CHANGED_ACCOUNT, actor="ann (web page)")
HASH = "hash"
ADMIN, VIEWER = frozenset({Role.ADMIN}), frozenset({Role.VIEWER})


def add(store, login="kim", roles=ADMIN, **changes):
    """Add an account with a password; return it."""
    return store.add_person(login, roles=roles, password_hash=HASH, actor="t", **changes)


def log_in(store, account, digest="a" * 64, **changes):
    """Open a session of the account."""
    return store.open_session(
        digest, account.person.id, address="10.0.0.1", limits=LIMITS, **changes
    )


def is_open(store, digest="a" * 64):
    """Return whether a session is in force."""
    return store.session_of(digest, LIMITS, touch=False) is not None
