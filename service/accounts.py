"""Accounts of people: login names, roles, sessions, and the rules for names and passwords. Pure.

A person has one account and any number of roles. What is stored of a password is its Argon2 hash
(`service.passwords`), of a session or a set-up link the SHA-256 of its random token.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.errors import WetreadError

SHORTEST_PASSWORD: Final = 12
# A longer one is refused before it is hashed: the hash takes time in proportion to its length.
LONGEST_PASSWORD: Final = 1024
SETUP_LIFETIME: Final = timedelta(hours=1)
# An administrator passes a password link on by mail or telephone, also to the next shift.
PASSWORD_LINK_LIFETIME: Final = timedelta(hours=24)
# Characters of a session's digest that name it in forms.
REFERENCE_LENGTH: Final = 16
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9_.@-]{0,63}")
_LONGEST_NAME: Final = 64


class InvalidAccount(WetreadError):
    """An account cannot be made, changed or found as requested; the message states why."""


class Role(StrEnum):
    """What a person may do; one person may have several roles."""

    ADMIN = "admin"  # operates the service: queue, accounts, settings, audit
    RADIOLOGIST = "radiologist"  # reads studies and decides on drafts
    VIEWER = "viewer"  # reads studies and the queue, changes nothing


class Source(StrEnum):
    """Where a person's account is kept."""

    LOCAL = "local"  # here, with a password
    OIDC = "oidc"  # at the OpenID provider, which also decides on the roles


class AccountState(StrEnum):
    """Whether a person can log in with an account."""

    ACTIVE = "active"
    BREAK_GLASS = "break-glass"  # in use; each login is an incident
    NO_PASSWORD = "no password yet"  # noqa: S105 - no password
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person who is known to the service.

    Attributes:
        id: 32 hexadecimal digits; never reused.
        login: The login name, lower case.
        display_name: The name as the site writes it, for pages.
        dicom_name: The name as a DICOM Person Name (PS3.5 6.2.1), for the verifying observer; the
            display name is used when "".
        roles: The roles in force.
    """

    id: str
    login: str
    display_name: str
    dicom_name: str = ""
    roles: frozenset[Role] = frozenset()

    def has(self, *roles: Role) -> bool:
        """Return whether the person has one of `roles`."""
        return not self.roles.isdisjoint(roles)

    @property
    def label(self) -> str:
        """The display name with the login name, for histories and lists."""
        if self.display_name in {"", self.login}:
            return self.login
        return f"{self.display_name} ({self.login})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The stored account of a person, without the password's hash.

    Attributes:
        break_glass: Whether it is the account for emergencies at a site with an OpenID provider; each
            login with it is an incident.
        disabled_at: When it was disabled; None while it is in use.
    """

    person: Person
    source: Source
    has_password: bool
    break_glass: bool
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    last_login_at: datetime | None

    @property
    def state(self) -> AccountState:
        """Whether its person can log in."""
        if self.disabled_at is not None:
            return AccountState.DISABLED
        if self.source is Source.LOCAL and not self.has_password:
            return AccountState.NO_PASSWORD
        return AccountState.BREAK_GLASS if self.break_glass else AccountState.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of a person in one browser.

    Attributes:
        digest: SHA-256 of the cookie's token.
        seen_at: The latest request of the person, to the minute.
    """

    digest: str
    person: Person
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session in force, as its person sees it in the list of own sessions.

    Attributes:
        reference: Beginning of the session's digest; names the session in forms.
        seen_at: The latest request, to the minute.
        address: The network address of the login.
    """

    reference: str
    created_at: datetime
    seen_at: datetime
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lasts."""

    idle: timedelta
    absolute: timedelta

    def is_over(self, session: Session, now: datetime) -> bool:
        """Return whether a session has reached one of its limits at `now`."""
        return now - session.seen_at >= self.idle or now - session.created_at >= self.absolute


def new_secret() -> tuple[str, str]:
    """Return a random token of 256 bits, and its digest, which is what may be stored."""
    token = secrets.token_urlsafe(32)
    return token, digest_of(token)


def reference_of(digest: str) -> str:
    """Return the name of a session in forms: unique among the sessions of one person."""
    return digest[:REFERENCE_LENGTH]


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, as hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def check_login(name: str) -> str:
    """Return a login name in lower case.

    Raises:
        InvalidAccount: It is not valid.
    """
    login = name.strip().lower()
    if not _LOGIN.fullmatch(login):
        raise InvalidAccount(
            f"{name[:40]!r} is not a login name: it has 1 to 64 letters a-z, digits, dots, dashes, "
            "underscores and @, and begins with a letter or digit"
        )
    return login


def check_display_name(name: str) -> str:
    """Return a display name without surplus spaces.

    Raises:
        InvalidAccount: It is too long or holds characters that cannot be shown.
    """
    shown = " ".join(name.split())
    if len(shown) > _LONGEST_NAME or not shown.isprintable():
        raise InvalidAccount("a display name has at most 64 printable characters")
    return shown


def check_dicom_name(name: str) -> str:
    """Return a DICOM Person Name of one component group, such as `Kim^Jiyoung^^Dr`.

    Raises:
        InvalidAccount: It cannot be a value of VR PN (PS3.5 6.2.1).
    """
    if len(name) > _LONGEST_NAME or not name.isprintable() or "\\" in name or name.count("^") > 4:
        raise InvalidAccount(
            "a DICOM name has at most 64 printable characters, no backslash, and at most five parts "
            "with ^ between them: Family^Given^Middle^Prefix^Suffix"
        )
    return name.strip()


def check_password(password: str, login: str) -> str:
    """Return a new password if it is acceptable.

    Raises:
        InvalidAccount: It is too short, too long, or made of the login name.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise InvalidAccount(
            f"the password is too short: it needs at least {SHORTEST_PASSWORD} characters; several "
            "words are easy to remember"
        )
    if len(password.encode("utf-8", "surrogateescape")) > LONGEST_PASSWORD:
        raise InvalidAccount(f"the password is longer than {LONGEST_PASSWORD} bytes")
    if len(set(password)) == 1 or password.lower() in {login * n for n in range(1, 13)}:
        raise InvalidAccount("the password is the login name, or one character repeated")
    return password


def added_detail(login: str, roles: Iterable[Role]) -> str:
    """Return what the audit trail states about a new account."""
    return f"added {login}: {', '.join(sorted(roles))}"


def check_roles(names: Iterable[str]) -> frozenset[Role]:
    """Return the roles with these names.

    Raises:
        InvalidAccount: There is none, or one is unknown.
    """
    try:
        roles = frozenset(Role(word) for word in names)
    except ValueError as error:
        raise InvalidAccount(f"{error}: the roles are {', '.join(Role)}") from None
    if not roles:
        raise InvalidAccount(f"give at least one role: {', '.join(Role)}")
    return roles
