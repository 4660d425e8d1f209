"""Bearer tokens: how they are made, what is stored of them, and what they allow.

    wetread_<id>_<secret>      id: 12 hexadecimal digits, not secret; secret: 256 random bits

Only the SHA-256 of the secret is stored. A slow hash protects passwords, which can be guessed; 256
random bits cannot be guessed at any speed, and a slow hash on each request would only enable denial of
service.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_ae_title
from service.errors import WetreadError

_TOKEN: Final = re.compile(r"wetread_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_LIFETIME: Final = re.compile(r"([1-9]\d{0,4})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# A warning begins this long before the expiry, or for a short lifetime in its last quarter.
_WARNED_BEFORE: Final = timedelta(days=14)
_LAST_PART: Final = 4
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


class InvalidToken(WetreadError):
    """A token cannot be made or found as requested; the message states why."""


class Scope(StrEnum):
    """What a token allows."""

    STOW = "stow"  # store Instances as the calling AE of its AE title
    READ = "read"  # the JSON API and the metrics
    ADMIN = "admin"  # what READ allows, and to retry, cancel and prioritize jobs
    DECISIONS = "decisions:read"  # the decisions of radiologists, as JSON
    REPORTS = "reports:write"  # final reports of the reporting system
    METRICS = "metrics"  # the metrics only

    def allows(self, required: "Scope") -> bool:
        """Return whether this scope includes `required`."""
        return self is required or required in _INCLUDED.get(self, ())


_INCLUDED: Final = {
    Scope.READ: frozenset({Scope.METRICS}),
    Scope.ADMIN: frozenset({Scope.READ, Scope.METRICS}),
}


class TokenState(StrEnum):
    """The state of a token."""

    ACTIVE = "active"
    EXPIRING = "expires soon"  # in force
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def is_in_force(self) -> bool:
        """Whether requests with the token are accepted."""
        return self in {TokenState.ACTIVE, TokenState.EXPIRING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The stored record of a token, without its secret.

    Attributes:
        ae_title: The calling AE as which it stores; "" without the scope STOW.
        created_by: Who made it.
        expires_at: None for never.
        last_used_at: To the minute; None if not used yet.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    ae_title: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def allows(self, required: Scope) -> bool:
        """Return whether one of its scopes includes `required`."""
        return any(scope.allows(required) for scope in self.scopes)

    def state(self, now: datetime) -> TokenState:
        """Return its state at `now`."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        if self.expires_at is None:
            return TokenState.ACTIVE
        left = self.expires_at - now
        if left <= timedelta(0):
            return TokenState.EXPIRED
        warned = min(_WARNED_BEFORE, (self.expires_at - self.created_at) / _LAST_PART)
        return TokenState.EXPIRING if left <= warned else TokenState.ACTIVE

    def consequence(self) -> str:
        """Return what is refused once the token has expired, as the end of a sentence."""
        if Scope.STOW in self.scopes:
            return f"images that {self.ae_title} sends by STOW-RS are answered 401"
        return "requests to the JSON API and /metrics are answered 401"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The id and the secret's hash of a presented or a new token.

    The value itself is not kept, so it cannot reach a log.
    """

    id: str
    digest: str

    def matches(self, digest: str) -> bool:
        """Return whether the secret has this hash; takes constant time."""
        return hmac.compare_digest(self.digest, digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a token that is to be made allows; valid.

    Attributes:
        ae_title: The calling AE as which it stores; "" without the scope STOW.
        lifetime: None for never.
    """

    name: str
    scopes: frozenset[Scope]
    ae_title: str
    lifetime: timedelta | None


def new_token(name: str, scopes: Iterable[str], *, expires: str, ae_title: str) -> NewToken:
    """Return the token that was requested in words.

    Args:
        name: As `check_name` takes it.
        scopes: Values of Scope, at least one.
        expires: As `lifetime` takes it.
        ae_title: The calling AE title of what it stores; "" without the scope STOW.

    Raises:
        InvalidToken: It cannot be made; the message states why.
    """
    try:
        chosen = frozenset(map(Scope, scopes))
        title = check_ae_title(ae_title) if ae_title else ""
    except (ValueError, InvalidIdentifier) as error:
        raise InvalidToken(str(error)) from None
    if not chosen:
        raise InvalidToken(f"choose at least one scope: {', '.join(Scope)}")
    if (Scope.STOW in chosen) != bool(title):
        raise InvalidToken(
            "the scope stow and an AE title must be given together: what is stored has a calling AE"
        )
    return NewToken(
        name=check_name(name), scopes=chosen, ae_title=title, lifetime=lifetime(expires)
    )


def mint() -> tuple[str, Credential]:
    """Make a token; return its value, to be shown once, and the credential to store."""
    identifier, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"wetread_{identifier}_{secret}", _credential(identifier, secret)


def presented(value: str) -> Credential | None:
    """Parse the value that a client presented; return None if it has not the form of our tokens."""
    found = _TOKEN.fullmatch(value)
    return _credential(*found.groups()) if found else None


def _credential(identifier: str, secret: str) -> Credential:
    return Credential(id=identifier, digest=hashlib.sha256(secret.encode("ascii")).hexdigest())


def check_name(name: str) -> str:
    """Return `name` if it is a valid name of a token.

    Raises:
        InvalidToken: The name is not valid.
    """
    if not _NAME.fullmatch(name):
        raise InvalidToken("a token's name has 1 to 40 letters, digits, dots, dashes, underscores")
    return name


def lifetime(text: str) -> timedelta | None:
    """Parse the lifetime of a token, such as `12h`, `90d` or `8w`; return None for `never`.

    Raises:
        InvalidToken: The text has another form.
    """
    if text == "never":
        return None
    found = _LIFETIME.fullmatch(text)
    if found is None:
        raise InvalidToken("the lifetime is a number with h, d or w, such as 90d, or never")
    return int(found[1]) * _UNITS[found[2]]
