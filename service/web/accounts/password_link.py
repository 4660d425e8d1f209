"""`/password/{link}`: a person sets the password of an account, by a link that an admin made."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from service import passwords
from service.accounts import Account, InvalidAccount, check_password, digest_of
from service.audit import AuditAction, AuditEvent
from service.passwords import TooManyLogins
from service.sentence import sentence_of
from service.web.access.transport import client_address
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import login_event
from service.web.forms.frame import answer, fields_of, text_of
from service.web.render import page, root_of


async def password_page(request: Request) -> Response:
    """Answer with the form for the new password, or 404 if the link is not valid."""
    account = await _account(request)
    return _form(request, account) if account is not None else _over(request)


async def set_password(request: Request) -> Response:
    """Set the password; the link is used up, and the person can log in."""
    account = await _account(request)
    if account is None:
        return _over(request)
    form = await fields_of(request)
    new, again = text_of(form, "password"), text_of(form, "again")
    if new != again:
        return _form(request, account, fault="The two passwords differ: type the same one twice.")
    event = login_event(
        AuditAction.CHANGED_ACCOUNT,
        person=account.person,
        address=client_address(request.scope),
        detail=f"password of {account.person.login}, by a link",
    )
    here, link = app_context_of(request), request.path_params["link"]
    try:
        await run_in_threadpool(_set, here, account, link, new, event)
    except (InvalidAccount, TooManyLogins) as error:
        return _form(request, account, fault=sentence_of(error))
    return _message(
        request, "Password set", f"You can log in as {account.person.login} now.", status=200
    )


def _set(here: AppContext, account: Account, link: str, new: str, event: AuditEvent) -> None:
    check_password(new, account.person.login)
    here.store.use_password_link(digest_of(link), passwords.hash_password(new), event)


async def _account(request: Request) -> Account | None:
    digest = digest_of(request.path_params["link"])
    return await run_in_threadpool(app_context_of(request).store.account_of_link, digest)


def _form(request: Request, account: Account, *, fault: str = "") -> Response:
    return answer(
        request,
        "accounts/password.html",
        area="",
        status=400 if fault else 200,
        account=account,
        fault=fault,
    )


def _over(request: Request) -> Response:
    message = "This link has expired or was used. Ask an administrator for a new one."
    return _message(request, "Link not valid", message, status=404)


def _message(request: Request, title: str, detail: str, *, status: int) -> Response:
    root = root_of(request.url.path)
    html = page(
        "error.html", title=title, detail=detail, root=root, back=f"{root}login", back_text="Log in"
    )
    return HTMLResponse(html, status)
