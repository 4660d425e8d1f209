"""Makes bearer tokens, for the command line and for the page of tokens."""

from difflib import get_close_matches

from service.audit import AuditEvent
from service.settings.config import Settings
from service.store import Store
from service.tokens import NewToken, mint


def issue_token(store: Store, wanted: NewToken, event: AuditEvent) -> str:
    """Store a new token with its record in the audit trail; return its value, to be shown once.

    Raises:
        InvalidToken: Another token of this name has not been revoked.
        StoreError: The database does not answer.
    """
    value, credential = mint()
    store.add_token(
        credential,
        name=wanted.name,
        scopes=wanted.scopes,
        ae_title=wanted.ae_title,
        expires_at=store.now() + wanted.lifetime if wanted.lifetime else None,
        actor=event.actor,
        audit=event.with_detail(f"added {wanted.name}: {', '.join(sorted(wanted.scopes))}"),
    )
    return value


def unknown_calling_ae(settings: Settings, ae_title: str) -> str:
    """Return why Instances sent under `ae_title` will be refused, or "" if they will not."""
    if not ae_title or settings.caller(ae_title) is not None:
        return ""
    known = {each.ae_title.upper(): each.ae_title for each in settings.receiver.callers}
    near = get_close_matches(ae_title.upper(), known, n=1)
    return (
        f"{ae_title} is not among receiver.callers, so everything that it stores is refused. Configured "
        f"calling AE titles: {', '.join(known.values()) or 'none'}."
        + (f" Did you mean {known[near[0]]}?" if near else "")
        + " Add it to [[receiver.callers]], or revoke this token and add one for another title."
    )
