"""Idempotency keys: a request that acts is carried out once, however often it is sent. Pure.

A request claims its key before it acts. The action marks the claim in the transaction of its change, and
the response is stored after it:

    (none) ──claim──▶ claimed ──action──▶ carried out ──response──▶ answered
                        └──refused, nothing changed──▶ (none)

A process that is killed leaves a claim. One that nothing was carried out for is taken over after
`CLAIM_SECONDS` under a new fence, so that the older request can no longer act.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from service.errors import WetreadError

# Longer than a request that acts needs until its first change is committed.
CLAIM_SECONDS: Final = 15.0
KEPT: Final = timedelta(hours=24)


class KeyConflict(WetreadError):
    """The Idempotency-Key cannot be used for this request.

    Attributes:
        retry_after: Seconds after which the same request can be sent again; None if that cannot help.
    """

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """The key of a request and what it belongs to.

    Attributes:
        principal: The person, the token or the password that sends the request.
        key: The Idempotency-Key.
        digest: SHA-256 of method, path and body.
    """

    principal: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClaim:
    """The right of one request to act under its key; an older fence has lost it."""

    principal: str
    key: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """The response of the first request: its status and its JSON text."""

    status: int
    body: str
