"""Bearer tokens of HTTP requests: the check, and the error responses (RFC 6750)."""

from datetime import timedelta
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Scope as Connection

from service.errors import StoreError
from service.log import get_logger
from service.records import IncidentKind
from service.store import Store
from service.tokens import Credential, Scope, Token, presented

_REALM = 'Bearer realm="Wetread"'
_REPORTED_EVERY: Final = timedelta(hours=1)

log = get_logger(__name__)


class TokenAuthorizer:
    """Checks the bearer token of requests against the store."""

    def __init__(self, store: Store) -> None:
        """Take the store that holds the tokens."""
        self._store = store

    async def authorize(self, connection: Connection, required: Scope | None) -> Token | Response:
        """Return the request's token if it is valid, else a 401, 403 or 503 response.

        Args:
            connection: The request.
            required: The scope that the token must have; any scope when None.
        """
        value = bearer_value(Headers(scope=connection))
        if value is None:
            return _unauthorized("A bearer token is required.", _REALM)
        credential = presented(value)
        try:
            token = (
                await run_in_threadpool(self._store.token_of, credential) if credential else None
            )
        except StoreError as error:
            log.warning("store_failed", reason=type(error).__name__)
            return _refusal(503, "The database does not answer.", {"Retry-After": "10"})
        address = (connection.get("client") or ("",))[0]
        known_id = credential.id if credential else ""
        if token is None:
            log.warning("token_refused", token_id=known_id, address=address)
            if credential is not None:
                await run_in_threadpool(self._report_known, credential, address)
            challenge = f'{_REALM}, error="invalid_token"'
            return _unauthorized("The token is not known, has expired or was revoked.", challenge)
        if required is not None and not token.allows(required):
            log.warning(
                "token_not_enough", token=token.name, wanted=required.value, address=address
            )
            challenge = f'{_REALM}, error="insufficient_scope", scope="{required}"'
            message = f"The token lacks the scope {required}."
            return _refusal(403, message, {"WWW-Authenticate": challenge})
        return token

    def _report_known(self, credential: Credential, address: str) -> None:
        """Record an incident, at most once an hour, when an expired or revoked token is used."""
        try:
            token, now = self._store.known_token(credential), self._store.now()
            if token is None:
                return
            detail = (
                f"It is {token.state(now)} and was used from {address}: {token.consequence()}. "
                "Give its user a new one (`wetread token add`)."
            )
            since = now - _REPORTED_EVERY
            self._store.note_token(
                token, IncidentKind.TOKEN_REFUSED, actor="web", detail=detail, since=since
            )
        except StoreError as error:
            log.warning("incident_not_recorded", reason=type(error).__name__)


def bearer_value(headers: Headers) -> str | None:
    """Return the credentials of a Bearer Authorization header, or None without one."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _unauthorized(message: str, challenge: str) -> Response:
    return _refusal(401, message, {"WWW-Authenticate": challenge})


def _refusal(status: int, message: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": message}, status, headers)
