"""Bearer tokens in the database: hash of the secret, scopes, and time of the last use."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, update

from service.audit import AuditEvent
from service.database.tables import IncidentRow, TokenRow
from service.records import IncidentKind
from service.stated_time import stated
from service.store.audit.append import Audited
from service.store.transitions import changed_rows
from service.tokens import Credential, InvalidToken, Scope, Token

# Shortest time between two writes of a token's last use: otherwise each request would write.
_NOTED_EVERY: Final = timedelta(minutes=1)


class Tokens(Audited):
    """The part of the store for bearer tokens."""

    def add_token(
        self,
        credential: Credential,
        *,
        name: str,
        scopes: frozenset[Scope],
        ae_title: str,
        expires_at: datetime | None,
        actor: str,
        audit: AuditEvent | None = None,
    ) -> Token:
        """Add a token and an incident that reports it; return the token.

        Raises:
            InvalidToken: Another token of this name has not been revoked.
        """
        with self._writing() as session:
            added = self._insert_new(
                session,
                TokenRow,
                id=credential.id,
                name=name,
                secret_hash=credential.digest,
                scopes=" ".join(sorted(scopes)),
                ae_title=ae_title,
                created_at=self.now(),
                created_by=actor,
                expires_at=expires_at,
            )
            if not added:
                raise InvalidToken(f"there is a token {name} already: revoke it first")
            end = stated(expires_at) if expires_at else "never"
            rights = f"{', '.join(sorted(scopes))}; expires {end}"
            self._incident(
                session,
                IncidentKind.TOKEN_ADDED,
                actor=actor,
                subject=name,
                detail=f"It allows: {rights}.",
            )
            self._audit(session, audit)
            return _token(session.get_one(TokenRow, credential.id))

    def tokens(self) -> list[Token]:
        """Return all tokens, also expired and revoked ones, the newest first."""
        newest = select(TokenRow).order_by(TokenRow.created_at.desc(), TokenRow.id)
        with self._reading() as session:
            return [_token(row) for row in session.scalars(newest)]

    def revoke_token(self, name: str, actor: str, audit: AuditEvent | None = None) -> Token:
        """Revoke the token with this name or id; return it. An incident reports that.

        Raises:
            InvalidToken: No token of this name or id is in force.
        """
        chosen = select(TokenRow).where(
            or_(TokenRow.name == name, TokenRow.id == name), TokenRow.revoked_at.is_(None)
        )
        with self._writing() as session:
            row = session.scalar(chosen.limit(1))
            if row is None:
                raise InvalidToken(f"there is no token {name}, or it is revoked already")
            row.revoked_at = self.now()
            self._incident(
                session,
                IncidentKind.TOKEN_REVOKED,
                actor=actor,
                subject=row.name,
                detail="It is no longer accepted.",
            )
            self._audit(session, audit, detail=f"revoked {row.name}")
            return _token(row)

    def token_of(self, credential: Credential) -> Token | None:
        """Return the presented token if it is in force, else None; record its use to the minute."""
        token, now = self.known_token(credential), self.now()
        if token is None or not token.state(now).is_in_force:
            return None
        if token.last_used_at is None or now - token.last_used_at >= _NOTED_EVERY:
            self._note_use(token.id, now)
        return token

    def known_token(self, credential: Credential) -> Token | None:
        """Return the presented token, in force or not; None if it is unknown or its secret is wrong."""
        with self._reading() as session:
            row = session.get(TokenRow, credential.id)
            known = row is not None and credential.matches(row.secret_hash)
            return _token(row) if row is not None and known else None

    def note_token(
        self, token: Token, kind: IncidentKind, *, actor: str, detail: str, since: datetime
    ) -> bool:
        """Record an incident about a token, unless there is one of this kind at or after `since`.

        Returns:
            Whether it was recorded.
        """
        earlier = select(IncidentRow.id).where(
            IncidentRow.kind == kind.value,
            IncidentRow.subject == token.name,
            IncidentRow.at >= since,
        )
        with self._writing() as session:
            if session.scalar(earlier.limit(1)) is not None:
                return False
            self._incident(session, kind, actor=actor, subject=token.name, detail=detail)
            return True

    def _note_use(self, identifier: str, now: datetime) -> None:
        with self._writing() as session:
            used = update(TokenRow).where(TokenRow.id == identifier).values(last_used_at=now)
            changed_rows(session, used)


def _token(row: TokenRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        scopes=frozenset(Scope(word) for word in row.scopes.split()),
        ae_title=row.ae_title,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
