"""The first accounts of a site: the set-up link of `wetread up`, and those of the demo."""

import secrets
from collections.abc import Iterator
from typing import Final

from service.accounts import SETUP_LIFETIME, Role, new_secret
from service.audit import AuditAction, AuditEvent
from service.passwords import hash_password
from service.settings.config import Settings
from service.settings.setting_rules import is_loopback
from service.store import Store

_DEMO: Final = "demo"
_LINK_MADE: Final = "made the set-up link for the first account"
_NAMES: Final = {Role.ADMIN: "Ada Admin", Role.RADIOLOGIST: "Rae Reader", Role.VIEWER: "Vic Viewer"}


def setup_link(store: Store, settings: Settings, actor: str) -> str:
    """Return the path of a new set-up link, which replaces earlier ones; "" where an account exists.

    The audit trail records who made the link.

    Raises:
        StoreError: The database does not answer.
    """
    token, digest = new_secret()
    made = AuditEvent(action=AuditAction.CHANGED_ACCOUNT, actor=actor, detail=_LINK_MADE)
    if not store.add_setup_link(digest, store.now() + SETUP_LIFETIME, made):
        return ""
    return f"{_root(settings)}setup/{token}"


def _root(settings: Settings) -> str:
    """Return the URL of the pages as this machine knows it; "/" where it is not known."""
    web = settings.web
    if web.port == 0:
        return "/"
    scheme = "https" if web.tls_certificate else "http"
    host = web.host if is_loopback(web.host) else "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{web.port}/"


def demo_accounts(store: Store) -> Iterator[tuple[Role, str, str]]:
    """Add an account for each role with a random password; yield role, login name and password."""
    for role, name in _NAMES.items():
        password = secrets.token_urlsafe(9)
        store.add_person(
            role.value,
            roles=frozenset({role}),
            password_hash=hash_password(password),
            actor=_DEMO,
            display_name=name,
            audit=AuditEvent(
                action=AuditAction.CHANGED_ACCOUNT,
                actor=_DEMO,
                detail=f"added {role.value}: {role.value}",
            ),
        )
        yield role, role.value, password
