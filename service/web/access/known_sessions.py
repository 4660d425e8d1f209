"""The sessions that requests present, looked up in the store.

While the database does not answer, a session that was valid within the last minutes stays valid: the
pages must be able to show the fault to the person who has to act. Nothing can be revoked then anyway.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from starlette.concurrency import run_in_threadpool

from service.accounts import Session, SessionLimits, digest_of
from service.errors import StoreError
from service.settings.keys.sections import Web
from service.store import Store

_REMEMBERED: Final = timedelta(minutes=5)
_MOST: Final = 1000
# Longer ones are not ours: 256 bits in base64url are 43 characters.
_LONGEST: Final = 64


class KnownSessions:
    """Finds sessions by the token of a cookie."""

    def __init__(self, store: Store, settings: Web) -> None:
        """Take the store and the settings with the limits."""
        self._store = store
        self.limits = limits_of(settings)
        self._latest: OrderedDict[str, tuple[Session, datetime]] = OrderedDict()

    async def find(self, token: str, *, touch: bool) -> Session | None:
        """Return the session of a cookie if it is in force.

        Raises:
            StoreError: The database does not answer, and the session is not remembered.
        """
        if not token or len(token) > _LONGEST:
            return None
        digest = digest_of(token)
        try:
            session = await run_in_threadpool(
                self._store.session_of, digest, self.limits, touch=touch
            )
        except StoreError:
            if (known := self._remembered(digest)) is None:
                raise
            return known
        self._remember(digest, session)
        return session

    async def is_in_force(self, session: Session) -> bool:
        """Return whether a session continues with the same roles; True while the database is away."""
        try:
            found = await run_in_threadpool(
                self._store.session_of, session.digest, self.limits, touch=False
            )
        except StoreError:
            return True
        return found is not None and found.person.roles == session.person.roles

    def _remembered(self, digest: str) -> Session | None:
        session, at = self._latest.get(digest, (None, None))
        now = self._store.now()
        if session is None or at is None or now - at > _REMEMBERED:
            return None
        return None if self.limits.is_over(session, now) else session

    def _remember(self, digest: str, session: Session | None) -> None:
        self._latest.pop(digest, None)
        if session is not None:
            self._latest[digest] = (session, self._store.now())
        while len(self._latest) > _MOST:
            self._latest.popitem(last=False)


def limits_of(settings: Web) -> SessionLimits:
    """Return how long sessions last."""
    return SessionLimits(
        idle=timedelta(minutes=settings.session_idle_minutes),
        absolute=timedelta(hours=settings.session_hours),
    )
