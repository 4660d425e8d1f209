"""Sessions of people who are logged in: their limits, their end, and the times of the last requests."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select, update

from service.accounts import Person, Session, SessionLimits
from service.audit import AuditEvent
from service.database.account_tables import PersonRow, SessionRow
from service.errors import StoreUnavailable
from service.store.accounts.people import person
from service.store.audit.append import Audited
from service.store.transitions import changed_rows

# Shortest time between two writes of the latest request: otherwise each request would write.
_NOTED_EVERY: Final = timedelta(minutes=1)


class Sessions(Audited):
    """The part of the store for sessions."""

    def open_session(
        self,
        digest: str,
        person_id: str,
        *,
        address: str,
        limits: SessionLimits,
        oidc_sid: str = "",
        id_token: str = "",
        audit: AuditEvent | None = None,
    ) -> Session | None:
        """Open the session of a person who has just logged in; None if the account was disabled.

        Sessions that are over by the absolute limit are deleted.
        """
        now = self.now()
        with self._writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.created_at < now - limits.absolute))
            row = session.get(PersonRow, person_id, with_for_update=True)
            if row is None or row.disabled_at is not None:
                return None
            row.last_login_at = now
            session.add(
                SessionRow(
                    digest=digest,
                    person_id=person_id,
                    created_at=now,
                    seen_at=now,
                    address=address[:64],
                    oidc_sid=oidc_sid,
                    id_token=id_token,
                )
            )
            self._audit(session, audit)
            return Session(digest=digest, person=person(row), created_at=now, seen_at=now)

    def session_of(
        self, digest: str, limits: SessionLimits, *, touch: bool = True
    ) -> Session | None:
        """Return the session of a cookie if it is in force.

        Args:
            digest: SHA-256 of the cookie's token.
            limits: How long sessions last.
            touch: Whether this request is the person's own, so that the idle time begins anew.
        """
        found = select(SessionRow, PersonRow).join(PersonRow).where(SessionRow.digest == digest)
        with self._reading() as transaction:
            rows = transaction.execute(found.where(PersonRow.disabled_at.is_(None))).first()
            if rows is None:
                return None
            row, owner = rows
            session = Session(
                digest=digest,
                person=person(owner),
                created_at=row.created_at,
                seen_at=row.seen_at,
            )
        now = self.now()
        if limits.is_over(session, now):
            return None
        if touch and now - session.seen_at >= _NOTED_EVERY:
            with suppress(StoreUnavailable):  # the request is answered; the idle time continues
                self._note_request(digest)
        return session

    def end_session(
        self, digest: str, audited: Callable[[Person], AuditEvent] | None = None
    ) -> tuple[Person, str] | None:
        """End a session; `audited` makes the record for the audit trail, in the same transaction.

        Returns:
            Whose it was, and the provider's ID token of its login ("" for a local one); None if there
            is no such session.
        """
        with self._writing() as session:
            row = session.get(SessionRow, digest)
            if row is None:
                return None
            session.delete(row)
            owner = person(session.get_one(PersonRow, row.person_id))
            if audited is not None:
                self._audit(session, audited(owner))
            return owner, row.id_token

    def _note_request(self, digest: str) -> None:
        seen = update(SessionRow).where(SessionRow.digest == digest).values(seen_at=self.now())
        with self._writing() as session:
            changed_rows(session, seen)
