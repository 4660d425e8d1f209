"""Requests with an Idempotency-Key: carried out once, the response of the first one repeated."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.idempotency import KeyConflict, RequestClaim, RequestKey, StoredResponse
from service.sentence import sentence_of
from service.store import Store
from service.web.access.current import current_session, current_token
from service.web.app_context import app_context_of

Handler = Callable[[Request], Awaitable[Response]]

_KEY: Final = re.compile(r"[\x21-\x7e]{8,64}")
REPEATED: Final = "Idempotent-Replayed"
_FIRST_REFUSAL: Final = 300


def idempotent(handler: Handler) -> Handler:
    """Return the handler of an action that takes an optional Idempotency-Key.

    A repetition with the same key, path and body by the same person or program gets the response of the
    first request for 24 hours. A refused request frees its key.
    """

    @wraps(handler)
    async def answer(request: Request) -> Response:
        if "idempotency-key" not in request.headers:
            return await handler(request)
        key = RequestKey(
            principal=_principal(request),
            key=idempotency_key(request),
            digest=_digest(request, await request.body()),
        )
        store = app_context_of(request).store
        claimed = await run_in_threadpool(store.claim_request, key)
        if isinstance(claimed, StoredResponse):
            return Response(
                claimed.body,
                claimed.status,
                {REPEATED: "true"},
                media_type=JSONResponse.media_type,
            )
        return await _first(handler, request, store, claimed)

    return answer


def idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key header.

    Raises:
        HTTPException: 428 without the header, 400 for one of another form.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        raise HTTPException(428, "Send an Idempotency-Key, a new one for each action.")
    if not _KEY.fullmatch(key):
        raise HTTPException(400, "Idempotency-Key: 8 to 64 printable ASCII characters.")
    return key


async def answer_key_conflict(_request: Request, error: Exception) -> Response:
    """Return the 409 response for a key that cannot be used."""
    wait = error.retry_after if isinstance(error, KeyConflict) else None
    headers = {"Retry-After": str(wait)} if wait is not None else None
    return JSONResponse({"error": sentence_of(error)}, 409, headers)


async def _first(handler: Handler, request: Request, store: Store, claim: RequestClaim) -> Response:
    request.state.claim = claim
    response: Response | None = None
    try:
        response = await handler(request)
    finally:
        if response is None or response.status_code >= _FIRST_REFUSAL:
            await run_in_threadpool(store.release_request, claim)
    if response.status_code < _FIRST_REFUSAL:
        stored = StoredResponse(status=response.status_code, body=bytes(response.body).decode())
        await run_in_threadpool(store.finish_request, claim, stored)
    return response


def _principal(request: Request) -> str:
    session, token = current_session(request), current_token(request)
    if session is not None:
        return f"person {session.person.id}"
    return f"token {token.id}" if token is not None else "password"


def _digest(request: Request, body: bytes) -> str:
    """Return the SHA-256 of what the request asks for; the lengths keep the parts apart."""
    found = hashlib.sha256()
    for part in (request.method.encode(), request.url.path.encode(), body):
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()
