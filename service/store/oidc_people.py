"""People whose accounts an OpenID provider keeps: their rows here, and the end of their sessions."""

from sqlalchemy import delete, select

from service.accounts import Account, InvalidAccount, Role, digest_of
from service.database.account_tables import PersonRow, SessionRow
from service.store.people import People, account, end_sessions, stored_roles


class OidcPeople(People):
    """The part of the store for people of an OpenID provider."""

    def oidc_person(
        self, issuer: str, subject: str, *, login: str, display_name: str, roles: frozenset[Role]
    ) -> Account:
        """Return the account of a provider's person, made at the first login and brought up to date.

        Sessions with other roles end.

        Raises:
            InvalidAccount: The account was disabled here.
        """
        known = select(PersonRow).where(PersonRow.issuer == issuer, PersonRow.subject == subject)
        with self._writing() as session:
            row = session.scalar(known)
            if row is None:
                name = self._free_login(login, subject)
                row = self._add_row(session, name, roles=roles, actor=issuer[:128])
                row.issuer, row.subject = issuer, subject
            if row.disabled_at is not None:
                raise InvalidAccount("this account was disabled by an administrator")
            if row.roles != stored_roles(roles):
                row.roles = stored_roles(roles)
                end_sessions(session, row.id)
            row.display_name = display_name
            return account(row)

    def end_oidc_sessions(self, issuer: str, *, subject: str = "", sid: str = "") -> int:
        """End the sessions that a provider names by person or by its session; return their number."""
        owners = select(PersonRow.id).where(PersonRow.issuer == issuer)
        if subject:
            owners = owners.where(PersonRow.subject == subject)
        ended = delete(SessionRow).where(SessionRow.person_id.in_(owners))
        if sid:
            ended = ended.where(SessionRow.oidc_sid == sid)
        with self._writing() as session:
            return len(session.scalars(ended.returning(SessionRow.digest)).all())

    def _free_login(self, login: str, subject: str) -> str:
        """Return `login`, or one made of it where another account has it."""
        with self._reading() as session:
            taken = session.scalar(select(PersonRow.id).where(PersonRow.login == login))
        return login if taken is None else f"{login[:54]}@{digest_of(subject)[:8]}"
