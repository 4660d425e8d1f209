"""The accounts of people: roles, password hashes, and the set-up link of the first account."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session as Transaction

from service.accounts import Account, InvalidAccount, Person, Role, Source
from service.audit import AuditEvent
from service.database.account_tables import (
    PasswordLinkRow,
    PersonRow,
    SessionRow,
    SetupLinkRow,
)
from service.store.audit.append import Audited
from service.store.session import new_id

# Number of the advisory lock under which the first account is made.
_FIRST_ACCOUNT = 0x574543
# Number of the advisory lock under which an account loses the role admin or is disabled.
_FEWER_ADMINS = 0x574546


class People(Audited):
    """The part of the store for accounts. A change of roles, password or state ends the sessions.

    `audit` is the record for the audit trail, which is appended in the same transaction.
    """

    def add_person(
        self,
        login: str,
        *,
        roles: frozenset[Role],
        password_hash: str,
        actor: str,
        display_name: str = "",
        dicom_name: str = "",
        break_glass: bool = False,
        audit: AuditEvent | None = None,
    ) -> Account:
        """Add an account with a password.

        Raises:
            InvalidAccount: The login name is taken, also if that account is disabled.
        """
        with self._writing() as session:
            row = self._add_row(session, login, roles=roles, actor=actor)
            row.password_hash, row.break_glass = password_hash, break_glass
            row.display_name, row.dicom_name = display_name, dicom_name
            self._audit(session, audit)
            return account(row)

    def accounts(self) -> list[Account]:
        """Return all accounts in the order of their login names."""
        with self._reading() as session:
            return [account(row) for row in session.scalars(select(PersonRow).order_by("login"))]

    def has_accounts(self) -> bool:
        """Return whether there is an account that is not disabled."""
        with self._reading() as session:
            return _has_accounts(session)

    def account_of(self, login: str) -> Account:
        """Return the account with this login name.

        Raises:
            InvalidAccount: There is none.
        """
        with self._reading() as session:
            return account(row_of(session, login))

    def credentials_of(self, login: str) -> tuple[Account, str] | None:
        """Return an account that may log in with a password, and the hash; None for other names."""
        in_use = select(PersonRow).where(
            PersonRow.login == login, PersonRow.disabled_at.is_(None), PersonRow.password_hash != ""
        )
        with self._reading() as session:
            row = session.scalar(in_use)
            return (account(row), row.password_hash) if row is not None else None

    def set_roles(
        self, login: str, roles: frozenset[Role], audit: AuditEvent | None = None
    ) -> Account:
        """Replace the roles of an account and end its sessions.

        Raises:
            InvalidAccount: There is no such account, or no other admin would be left.
        """
        with self._writing() as session:
            row = row_of(session, login)
            if Role.ADMIN not in roles:
                self._check_other_admin(session, row)
            if row.roles != stored_roles(roles):
                row.roles = stored_roles(roles)
                end_sessions(session, row.id)
            self._audit(session, audit)
            return account(row)

    def set_password_hash(
        self, login: str, password_hash: str, audit: AuditEvent | None = None
    ) -> Account:
        """Replace the password of a local account and end its sessions.

        Raises:
            InvalidAccount: There is no such account, or it belongs to an OpenID provider.
        """
        with self._writing() as session:
            row = row_of(session, login)
            check_local(row)
            row.password_hash = password_hash
            end_sessions(session, row.id)
            end_links(session, row.id)
            self._audit(session, audit)
            return account(row)

    def renew_password_hash(self, person_id: str, password_hash: str) -> None:
        """Store the hash of the same password with newer parameters; sessions go on."""
        with self._writing() as session:
            session.get_one(PersonRow, person_id).password_hash = password_hash

    def disable_person(
        self, login: str, *, disabled: bool = True, audit: AuditEvent | None = None
    ) -> Account:
        """Disable an account and end its sessions, or allow its logins again.

        Raises:
            InvalidAccount: There is no such account, or no other admin would be left.
        """
        with self._writing() as session:
            row = row_of(session, login)
            if disabled and row.disabled_at is None:
                self._check_other_admin(session, row)
                row.disabled_at = self.now()
                end_sessions(session, row.id)
                end_links(session, row.id)
            elif not disabled:
                row.disabled_at = None
            self._audit(session, audit)
            return account(row)

    def add_setup_link(
        self, digest: str, expires_at: datetime, audit: AuditEvent | None = None
    ) -> bool:
        """Make this the only valid set-up link; return False where an account exists."""
        with self._writing() as session:
            session.execute(delete(SetupLinkRow))
            if _has_accounts(session):
                return False
            session.add(SetupLinkRow(digest=digest, created_at=self.now(), expires_at=expires_at))
            self._audit(session, audit)
            return True

    def is_setup_link(self, digest: str) -> bool:
        """Return whether a set-up link can be used now."""
        with self._reading() as session:
            return self._setup_row(session, digest) is not None and not _has_accounts(session)

    def add_first_person(
        self,
        digest: str,
        login: str,
        *,
        display_name: str,
        password_hash: str,
        audit: AuditEvent | None = None,
    ) -> Account:
        """Make the first account, with the role admin, and use up the set-up link.

        Raises:
            InvalidAccount: The link has expired or was used, or an account exists.
        """
        with self._writing() as session:
            self._exclusive(session, _FIRST_ACCOUNT)
            if self._setup_row(session, digest) is None or _has_accounts(session):
                raise InvalidAccount(
                    "this set-up link has expired or was used: `wetread user add` makes accounts"
                )
            session.execute(delete(SetupLinkRow))
            roles = frozenset({Role.ADMIN})
            row = self._add_row(session, login, roles=roles, actor="set-up link")
            row.display_name, row.password_hash = display_name, password_hash
            self._audit(session, audit)
            return account(row)

    def _setup_row(self, session: Transaction, digest: str) -> SetupLinkRow | None:
        row = session.get(SetupLinkRow, digest)
        return row if row is not None and row.expires_at > self.now() else None

    def _add_row(
        self, session: Transaction, login: str, *, roles: frozenset[Role], actor: str
    ) -> PersonRow:
        added = self._insert_new(
            session,
            PersonRow,
            id=new_id(),
            login=login,
            display_name="",
            dicom_name="",
            roles=stored_roles(roles),
            password_hash="",
            issuer="",
            subject="",
            break_glass=False,
            created_at=self.now(),
            created_by=actor,
        )
        if not added:
            raise InvalidAccount(f"there is an account {login} already: choose another login name")
        return row_of(session, login)

    def _check_other_admin(self, session: Transaction, row: PersonRow) -> None:
        """Raise InvalidAccount if an account is the only one of an admin who can log in."""
        self._exclusive(session, _FEWER_ADMINS)
        if row.disabled_at is not None or Role.ADMIN not in person(row).roles:
            return
        others = select(PersonRow).where(
            PersonRow.id != row.id,
            PersonRow.disabled_at.is_(None),
            (PersonRow.password_hash != "") | (PersonRow.issuer != ""),
        )
        if not any(Role.ADMIN in person(other).roles for other in session.scalars(others)):
            raise InvalidAccount(
                f"{row.login} is the last admin who can log in: give another account that role first"
            )


def stored_roles(roles: Iterable[Role]) -> str:
    """Return roles as they are stored."""
    return " ".join(sorted(roles))


def person(row: PersonRow) -> Person:
    """Return the record of a person."""
    return Person(
        id=row.id,
        login=row.login,
        display_name=row.display_name,
        dicom_name=row.dicom_name,
        roles=frozenset(Role(word) for word in row.roles.split()),
    )


def account(row: PersonRow) -> Account:
    """Return the record of an account."""
    return Account(
        person=person(row),
        source=Source.OIDC if row.issuer else Source.LOCAL,
        has_password=bool(row.password_hash),
        break_glass=row.break_glass,
        created_at=row.created_at,
        created_by=row.created_by,
        disabled_at=row.disabled_at,
        last_login_at=row.last_login_at,
    )


def end_sessions(session: Transaction, person_id: str) -> None:
    """Delete the sessions of a person."""
    session.execute(delete(SessionRow).where(SessionRow.person_id == person_id))


def _has_accounts(session: Transaction) -> bool:
    in_use = exists().where(PersonRow.disabled_at.is_(None))
    return bool(session.scalar(select(in_use)))


def end_links(session: Transaction, person_id: str) -> None:
    """Delete the password links of a person."""
    session.execute(delete(PasswordLinkRow).where(PasswordLinkRow.person_id == person_id))


def check_local(row: PersonRow) -> None:
    """Raise InvalidAccount if an OpenID provider keeps the account."""
    if row.issuer:
        raise InvalidAccount(f"{row.login} logs in at {row.issuer}: the password is kept there")


def row_of(session: Transaction, login: str) -> PersonRow:
    """Return the row of a login name, in any case.

    Raises:
        InvalidAccount: There is none.
    """
    row = session.scalar(select(PersonRow).where(func.lower(PersonRow.login) == login.lower()))
    if row is None:
        raise InvalidAccount(f"there is no account {login}: `wetread user list` shows all")
    return row
