"""`/tokens`: an admin lists, makes and revokes the bearer tokens of programs."""

from dataclasses import dataclass, field
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.audit import AuditAction
from service.maintenance.issued_tokens import issue_token, unknown_calling_ae
from service.sentence import sentence_of
from service.tokens import InvalidToken, Scope, new_token
from service.web.access.current import actor_of
from service.web.app_context import app_context_of
from service.web.auditing import event_of
from service.web.forms.frame import (
    answer,
    back_to,
    fields_of,
    text_of,
    texts_of,
)

_AREA: Final = "tokens"
_SCOPE_TEXTS: Final = {
    Scope.READ: "the JSON API and the metrics",
    Scope.METRICS: "the metrics only",
    Scope.DECISIONS: "the decisions of radiologists, as JSON",
    Scope.REPORTS: "send final reports of the reporting system",
    Scope.STOW: "store images by STOW-RS, as a calling AE",
    Scope.ADMIN: "what read allows; retry, cancel and prioritize jobs",
}
_LIFETIMES: Final = {"30d": "30 days", "90d": "90 days", "52w": "52 weeks", "never": "never"}
_STANDARD_LIFETIME: Final = "90d"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredToken:
    """The fields of the form that makes a token, as they were entered."""

    name: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)
    ae_title: str = ""
    expires: str = _STANDARD_LIFETIME


async def tokens_page(request: Request) -> Response:
    """Answer with all tokens and the form that makes one."""
    return await _page(request)


async def add_token(request: Request) -> Response:
    """Make a token and show its value, this once."""
    form, here = await fields_of(request), app_context_of(request)
    entered = EnteredToken(
        name=text_of(form, "name"),
        scopes=frozenset(texts_of(form, "scope")),
        ae_title=text_of(form, "ae_title").strip(),
        expires=text_of(form, "expires"),
    )
    event = event_of(request, AuditAction.CHANGED_TOKEN)
    try:
        wanted = new_token(
            entered.name, entered.scopes, expires=entered.expires, ae_title=entered.ae_title
        )
        value = await run_in_threadpool(issue_token, here.store, wanted, event)
    except InvalidToken as error:
        return await _page(request, entered=entered, fault=sentence_of(error))
    return answer(
        request,
        "accounts/token.html",
        area=_AREA,
        token_name=wanted.name,
        value=value,
        warning=unknown_calling_ae(here.settings, wanted.ae_title),
    )


async def revoke_token(request: Request) -> Response:
    """Revoke a token, by its id: requests with it are refused from now on."""
    store, identifier = app_context_of(request).store, request.path_params["token_id"]
    event = event_of(request, AuditAction.CHANGED_TOKEN)
    try:
        await run_in_threadpool(store.revoke_token, identifier, actor_of(request), event)
    except InvalidToken as error:
        return await _page(request, fault=sentence_of(error))
    return back_to(request, "tokens")


async def _page(
    request: Request, *, entered: EnteredToken | None = None, fault: str = ""
) -> Response:
    here = app_context_of(request)
    now = here.store.now()
    tokens = await run_in_threadpool(here.store.tokens)
    return answer(
        request,
        "accounts/tokens.html",
        area=_AREA,
        status=400 if fault else 200,
        tokens=[(each, each.state(now)) for each in tokens],
        scope_texts=_SCOPE_TEXTS,
        lifetimes=_LIFETIMES,
        callers=[each.ae_title for each in here.settings.receiver.callers],
        entered=entered or EnteredToken(),
        fault=fault,
    )
