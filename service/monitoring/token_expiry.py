"""Reports bearer tokens that expire soon or have expired, before or when senders are refused."""

from collections.abc import Iterator
from typing import Final

from service.log import get_logger
from service.records import IncidentKind
from service.stated_time import stated
from service.store import Store
from service.tokens import Token, TokenState

_RENEW: Final = "Make another by `wetread token add` under a new name, then revoke this one."

log = get_logger(__name__)


def tokens_at_risk(store: Store) -> Iterator[tuple[Token, TokenState]]:
    """Yield each token that is not revoked and expires soon or has expired."""
    now = store.now()
    for token in store.tokens():
        state = token.state(now)
        if state in {TokenState.EXPIRING, TokenState.EXPIRED}:
            yield token, state


def sentence(token: Token, state: TokenState) -> str:
    """Return when a token expires or expired, the consequence and what to do, as text."""
    at = stated(token.expires_at) if token.expires_at else "no time"
    if state is TokenState.EXPIRED:
        return f"It expired at {at}: {token.consequence()}. {_RENEW}"
    return f"It expires at {at}; from then on {token.consequence()}. {_RENEW}"


class TokenExpiry:
    """Records an incident for each token at risk, once for each state."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self) -> None:
        """Record the tokens at risk that are not recorded yet.

        Raises:
            StoreUnavailable: The database cannot be used now.
        """
        for token, state in tokens_at_risk(self._store):
            is_over = state is TokenState.EXPIRED
            kind = IncidentKind.TOKEN_EXPIRED if is_over else IncidentKind.TOKEN_EXPIRES_SOON
            detail = sentence(token, state)
            since = token.created_at
            if self._store.note_token(token, kind, actor="sweeper", detail=detail, since=since):
                log.warning(kind.value, token=token.name, expires_at=str(token.expires_at))
