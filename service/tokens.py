"""Bearer tokens: how one is made, what of it is kept, and what it allows.

    wetread_<id>_<secret>      id: 12 hexadecimal digits, no secret; secret: 256 random bits

Only the SHA-256 of the secret is kept. A slow hash is for passwords, which people choose and others
guess; 256 random bits cannot be guessed at any speed, and a slow hash on each request would only give
strangers a way to keep the service busy.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from service.errors import WetreadError

_TOKEN: Final = re.compile(r"wetread_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_LIFETIME: Final = re.compile(r"([1-9]\d{0,4})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# A token's user is warned this long before it expires; of a short life, in its last quarter.
_WARNED_BEFORE: Final = timedelta(days=14)
_LAST_PART: Final = 4
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


class InvalidToken(WetreadError):
    """A token cannot be made or found as it was asked for; the message says why."""


class Scope(StrEnum):
    """What a token allows."""

    STOW = "stow"  # store films, in the name of its AE title
    READ = "read"  # the JSON API and the metrics
    ADMIN = "admin"  # what READ allows, and to retry, cancel and hurry jobs

    def allows(self, wanted: "Scope") -> bool:
        """Return whether this scope is enough for what needs `wanted`."""
        return self is wanted or (self is Scope.ADMIN and wanted is Scope.READ)


class TokenState(StrEnum):
    """Whether a token is in force."""

    ACTIVE = "active"
    EXPIRING = "expires soon"  # in force
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def is_in_force(self) -> bool:
        """Whether requests with it are answered."""
        return self in {TokenState.ACTIVE, TokenState.EXPIRING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token; never its secret.

    Attributes:
        ae_title: In whose name it stores; "" without the scope STOW.
        created_by: Who made it.
        expires_at: None: never.
        last_used_at: To the minute; None: not yet.
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

    def allows(self, wanted: Scope) -> bool:
        """Return whether one of its scopes is enough."""
        return any(scope.allows(wanted) for scope in self.scopes)

    def state(self, now: datetime) -> TokenState:
        """Return whether it is in force at `now`."""
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
        """Return, as the end of a sentence, what is refused once it is not in force."""
        if Scope.STOW in self.scopes:
            return f"images that {self.ae_title} sends by STOW-RS are answered 401"
        return "requests to the JSON API and /metrics are answered 401"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a client presented, or what was just made: the id, and the secret's hash.

    The value itself is not kept, so it cannot reach a log.
    """

    id: str
    digest: str

    def matches(self, digest: str) -> bool:
        """Return whether it is the secret of this hash, in constant time."""
        return hmac.compare_digest(self.digest, digest)


def mint() -> tuple[str, Credential]:
    """Return a new token's value, to be shown once, and what is kept of it."""
    identifier, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"wetread_{identifier}_{secret}", _credential(identifier, secret)


def presented(value: str) -> Credential | None:
    """Return what a client presented, or None when that is no token of ours."""
    found = _TOKEN.fullmatch(value)
    return _credential(*found.groups()) if found else None


def _credential(identifier: str, secret: str) -> Credential:
    return Credential(id=identifier, digest=hashlib.sha256(secret.encode("ascii")).hexdigest())


def check_name(name: str) -> str:
    """Return `name` if a token may have it.

    Raises:
        InvalidToken: It may not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidToken("a token's name has 1 to 40 letters, digits, dots, dashes, underscores")
    return name


def lifetime(text: str) -> timedelta | None:
    """Return how long a token lives: `12h`, `90d`, `8w`; None for `never`.

    Raises:
        InvalidToken: It is none of these.
    """
    if text == "never":
        return None
    found = _LIFETIME.fullmatch(text)
    if found is None:
        raise InvalidToken("--expires: a number with h, d or w (90d), or never")
    return int(found[1]) * _UNITS[found[2]]
