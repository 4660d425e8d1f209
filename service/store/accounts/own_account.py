"""What a person changes of the own account: the password, and the sessions in other browsers."""

from sqlalchemy import delete, func, select

from service.accounts import (
    REFERENCE_LENGTH,
    InvalidAccount,
    OpenSession,
    SessionLimits,
    reference_of,
)
from service.audit import AuditEvent
from service.database.account_tables import PersonRow, SessionRow
from service.store.accounts.people import check_local, end_links
from service.store.audit.append import Audited


class OwnAccount(Audited):
    """The part of the store for a person's own account."""

    def change_own_password(
        self,
        person_id: str,
        *,
        verified_hash: str,
        password_hash: str,
        session_digest: str,
        audit: AuditEvent,
    ) -> None:
        """Replace a password; every session of the person ends except the one that asks.

        Args:
            person_id: Whose.
            verified_hash: The stored hash against which the current password was verified.
            password_hash: The hash of the new password.
            session_digest: The session that goes on.
            audit: The record for the audit trail.

        Raises:
            InvalidAccount: The password was changed in the meantime, or an OpenID provider keeps it.
        """
        with self._writing() as session:
            row = session.get_one(PersonRow, person_id, with_for_update=True)
            check_local(row)
            if row.password_hash != verified_hash:
                raise InvalidAccount("the password was changed in the meantime: log in again")
            row.password_hash = password_hash
            others = SessionRow.person_id == person_id, SessionRow.digest != session_digest
            session.execute(delete(SessionRow).where(*others))
            end_links(session, person_id)
            self._audit(session, audit)

    def open_sessions(self, person_id: str, limits: SessionLimits) -> list[OpenSession]:
        """Return the sessions of a person that are in force, the latest used first."""
        now = self.now()
        in_force = select(SessionRow).where(
            SessionRow.person_id == person_id,
            SessionRow.created_at > now - limits.absolute,
            SessionRow.seen_at > now - limits.idle,
        )
        with self._reading() as session:
            rows = session.scalars(in_force.order_by(SessionRow.seen_at.desc(), SessionRow.digest))
            return [_open_session(row) for row in rows]

    def end_own_session(self, person_id: str, reference: str, audit: AuditEvent) -> bool:
        """End one session of a person; return False if it has ended before."""
        with self._writing() as session:
            ended = delete(SessionRow).where(
                SessionRow.person_id == person_id,
                func.substr(SessionRow.digest, 1, REFERENCE_LENGTH) == reference,
            )
            found = session.scalars(ended.returning(SessionRow.digest)).all()
            if found:
                self._audit(session, audit)
            return bool(found)


def _open_session(row: SessionRow) -> OpenSession:
    return OpenSession(
        reference=reference_of(row.digest),
        created_at=row.created_at,
        seen_at=row.seen_at,
        address=row.address,
    )
