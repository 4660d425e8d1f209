"""Password links: how a person sets the first or a new password of an account that others administer."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as Transaction

from service.accounts import Account, InvalidAccount, Role
from service.audit import AuditEvent
from service.database.account_tables import PasswordLinkRow, PersonRow
from service.store.accounts.people import (
    People,
    account,
    check_local,
    end_links,
    end_sessions,
    row_of,
)

_LINK_OVER = (
    "this link has expired or was used: an administrator makes a new one on the people page"
)


class PasswordLinks(People):
    """The part of the store for password links; an account has at most one."""

    def invite(
        self,
        login: str,
        *,
        roles: frozenset[Role],
        display_name: str,
        dicom_name: str,
        link_digest: str,
        expires_at: datetime,
        audit: AuditEvent,
    ) -> Account:
        """Add an account without a password, and the link with which its person sets one.

        Raises:
            InvalidAccount: The login name is taken, also if that account is disabled.
        """
        with self._writing() as session:
            row = self._add_row(session, login, roles=roles, actor=audit.actor)
            row.display_name, row.dicom_name = display_name, dicom_name
            self._add_link(session, row, link_digest, expires_at)
            self._audit(session, audit)
            return account(row)

    def add_password_link(
        self, login: str, link_digest: str, expires_at: datetime, audit: AuditEvent
    ) -> Account:
        """Make this the only password link of an account; the password in force stays until its use.

        Raises:
            InvalidAccount: There is no such account in use, or it belongs to an OpenID provider.
        """
        with self._writing() as session:
            row = row_of(session, login)
            check_local(row)
            if row.disabled_at is not None:
                raise InvalidAccount(f"{login} is disabled: enable the account first")
            self._add_link(session, row, link_digest, expires_at)
            self._audit(session, audit)
            return account(row)

    def account_of_link(self, link_digest: str) -> Account | None:
        """Return the account whose password can be set with this link now."""
        linked = (
            select(PersonRow)
            .join(PasswordLinkRow, PasswordLinkRow.person_id == PersonRow.id)
            .where(
                PasswordLinkRow.digest == link_digest,
                PasswordLinkRow.expires_at > self.now(),
                PersonRow.disabled_at.is_(None),
            )
        )
        with self._reading() as session:
            row = session.scalar(linked)
            return account(row) if row is not None else None

    def use_password_link(self, link_digest: str, password_hash: str, audit: AuditEvent) -> Account:
        """Set the password of a link's account, use up the link and end the account's sessions.

        Raises:
            InvalidAccount: The link has expired or was used.
        """
        with self._writing() as session:
            used = delete(PasswordLinkRow).where(
                PasswordLinkRow.digest == link_digest, PasswordLinkRow.expires_at > self.now()
            )
            owner = session.scalar(used.returning(PasswordLinkRow.person_id))
            row = session.get(PersonRow, owner) if owner else None
            if row is None or row.disabled_at is not None:
                raise InvalidAccount(_LINK_OVER)
            row.password_hash = password_hash
            end_sessions(session, row.id)
            self._audit(session, audit)
            return account(row)

    def _add_link(
        self, session: Transaction, row: PersonRow, digest: str, expires_at: datetime
    ) -> None:
        end_links(session, row.id)
        link = PasswordLinkRow(
            digest=digest, person_id=row.id, created_at=self.now(), expires_at=expires_at
        )
        session.add(link)
