"""People whose accounts an OpenID provider keeps: their rows here, and the end of their sessions."""

from collections.abc import Callable

from sqlalchemy import delete, select

from service.accounts import Account, InvalidAccount, Person, Role, digest_of
from service.audit import AuditEvent
from service.database.account_tables import PersonRow, SessionRow
from service.store.accounts.people import People, account, end_sessions, person, stored_roles


class OidcPeople(People):
    """The part of the store for people of an OpenID provider."""

    def oidc_person(
        self,
        issuer: str,
        subject: str,
        *,
        login: str,
        display_name: str,
        roles: frozenset[Role],
        audited: Callable[[Person, bool], AuditEvent] | None = None,
    ) -> Account:
        """Return the account of a provider's person, made at the first login and brought up to date.

        Sessions with other roles end.

        Args:
            issuer: The provider.
            subject: The person at the provider.
            login: Login name.
            display_name: Name on the pages.
            roles: The roles that the provider's groups give.
            audited: Makes the record for the audit trail of a new account (True) or of changed roles.

        Raises:
            InvalidAccount: The account was disabled here.
        """
        known = select(PersonRow).where(PersonRow.issuer == issuer, PersonRow.subject == subject)
        with self._writing() as session:
            row = session.scalar(known)
            is_new = row is None
            if row is None:
                name = self._free_login(login, subject)
                row = self._add_row(session, name, roles=roles, actor=issuer[:128])
                row.issuer, row.subject = issuer, subject
            if row.disabled_at is not None:
                raise InvalidAccount("this account was disabled by an administrator")
            has_other_roles = row.roles != stored_roles(roles)
            if has_other_roles:
                row.roles = stored_roles(roles)
                end_sessions(session, row.id)
            row.display_name = display_name
            if audited is not None and (is_new or has_other_roles):
                self._audit(session, audited(person(row), is_new))
            return account(row)

    def end_oidc_sessions(
        self, issuer: str, *, subject: str = "", sid: str = "", audit: AuditEvent | None = None
    ) -> int:
        """End the sessions that a provider names by person or by its session; return their number."""
        owners = select(PersonRow.id).where(PersonRow.issuer == issuer)
        if subject:
            owners = owners.where(PersonRow.subject == subject)
        ended = delete(SessionRow).where(SessionRow.person_id.in_(owners))
        if sid:
            ended = ended.where(SessionRow.oidc_sid == sid)
        with self._writing() as session:
            count = len(session.scalars(ended.returning(SessionRow.digest)).all())
            self._audit(session, audit, detail=f"{count} sessions ended by the provider")
            return count

    def _free_login(self, login: str, subject: str) -> str:
        """Return `login`, or one made of it where another account has it."""
        with self._reading() as session:
            taken = session.scalar(select(PersonRow.id).where(PersonRow.login == login))
        return login if taken is None else f"{login[:54]}@{digest_of(subject)[:8]}"
