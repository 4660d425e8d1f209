"""`/login`, `/logout`, `/setup/{link}`: how a person gets a session, and ends it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from service import passwords
from service.accounts import (
    LONGEST_PASSWORD,
    Account,
    InvalidAccount,
    Person,
    Role,
    check_display_name,
    check_login,
    check_password,
    digest_of,
    new_secret,
)
from service.audit import AuditAction, AuditEvent
from service.log import get_logger
from service.passwords import TooManyLogins
from service.records import IncidentKind
from service.settings.advice import cautions
from service.store import Store
from service.web.access.known_sessions import limits_of
from service.web.access.transport import (
    SECURE_COOKIE,
    client_address,
    remove_cookies,
    set_cookie,
    transport_of,
)
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_refused_login, login_event
from service.web.readiness import writing_fault
from service.web.render import page, root_of

_WRONG: Final = "The login name or the password is wrong."
_MANY: Final = "Too many failed logins. Try again in {}."
_NO_ACCOUNT: Final = (
    "There is no account yet. Open the set-up link that the service printed at its start, or make an "
    "account: `wetread user add NAME --role admin`."
)
_LONGEST_BACK: Final = 2000

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A login that was refused: the HTTP status, a sentence, and the seconds to wait, if any."""

    status: int
    message: str
    wait: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A new session: the token for the cookie, and whose it is."""

    token: str
    person: Person
    break_glass: bool = False


async def login_page(request: Request) -> Response:
    """Answer with the form, or say why no login is possible now."""
    back = back_of(request.query_params.get("next", ""))
    fault = await run_in_threadpool(_no_login, app_context_of(request).store)
    return _form(request, back=back, fault=fault)


async def log_in(request: Request) -> Response:
    """Verify name and password, open a session and send the browser back where it came from.

    A page's script gets JSON in place of the redirect.
    """
    form = await request.form(max_files=0, max_fields=5)
    name, password = str(form.get("name", "")), str(form.get("password", ""))
    back = back_of(str(form.get("next", "")))
    here, address = app_context_of(request), client_address(request.scope)
    await end_session(request)
    result = await run_in_threadpool(verified, here, name, password, address)
    if isinstance(result, Refused):
        await _audit_refused(request, result, name)
        return _refused(request, result, name=name, back=back)
    return logged_in(request, result, back)


async def log_out(request: Request) -> Response:
    """End the session; the browser forgets the cookie, and with TLS what it has stored of the site."""
    await request.body()  # so that the limit of bodies holds here too
    ended = await ended_session(request, AuditAction.LOGOUT)
    response = await _logged_out(request, ended[1] if ended else "")
    remove_cookies(response)
    if transport_of(request.scope).is_tls:
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


async def setup_page(request: Request) -> Response:
    """Answer with the form that makes the first account, or 404 if the link is not valid."""
    digest = digest_of(request.path_params["link"])
    if not await run_in_threadpool(app_context_of(request).store.is_setup_link, digest):
        return _setup_over(request)
    return _setup_form(request)


async def set_up(request: Request) -> Response:
    """Make the first account, with the role admin, and log its person in."""
    form = await request.form(max_files=0, max_fields=5)
    entered = {key: str(form.get(key, "")) for key in ("name", "display_name", "password", "again")}
    digest = digest_of(request.path_params["link"])
    here, address = app_context_of(request), client_address(request.scope)
    if not await run_in_threadpool(here.store.is_setup_link, digest):
        return _setup_over(request)
    try:
        made = await run_in_threadpool(_first_person, here.store, digest, entered, address)
    except (InvalidAccount, TooManyLogins) as error:
        return _setup_form(request, entered=entered, fault=f"{str(error).capitalize()}.")
    result = await run_in_threadpool(
        opened, here, made.person, address, detail="first account, by the set-up link"
    )
    if isinstance(result, Refused):
        return _form(request)
    return logged_in(request, result, "/")


def verified(here: AppContext, name: str, password: str, address: str) -> LoggedIn | Refused:
    """Verify a password and open a session; an unknown name takes as long as a wrong password."""
    digest = digest_of(name.strip().lower())
    if wait := here.store.begin_login(digest, address):
        log.warning("login_throttled", address=address, seconds=wait)
        return Refused(status=429, message=too_many(wait), wait=wait)
    try:
        account = _account(here, name, password)
    except TooManyLogins as error:
        return Refused(status=503, message=f"{str(error).capitalize()}.", wait=5)
    if account is None:
        log.warning("login_failed", address=address)
        return Refused(status=401, message=_WRONG)
    here.store.login_succeeded(digest, address)
    return opened(here, account.person, address, break_glass=account.break_glass)


def opened(
    here: AppContext,
    person: Person,
    address: str,
    *,
    break_glass: bool = False,
    oidc_sid: str = "",
    id_token: str = "",
    detail: str = "",
) -> LoggedIn | Refused:
    """Open a session for a person who has proved who they are, and record the login."""
    token, digest = new_secret()
    limits = limits_of(here.settings.web)
    action = AuditAction.BREAK_GLASS if break_glass else AuditAction.LOGIN
    session = here.store.open_session(
        digest,
        person.id,
        address=address,
        limits=limits,
        oidc_sid=oidc_sid,
        id_token=id_token,
        audit=login_event(action, person=person, address=address, detail=detail),
    )
    if session is None:
        return Refused(status=401, message=_WRONG)
    log.info("logged_in", person=person.id)
    if break_glass:
        here.store.record_incident(
            actor=person.login,
            kind=IncidentKind.BREAK_GLASS,
            subject=person.login,
            detail=f"The account for emergencies was used from {address}. Check why.",
        )
    return LoggedIn(token=token, person=session.person, break_glass=break_glass)


async def _logged_out(request: Request, id_token: str) -> Response:
    """Return the login page's address, or a page with the link that logs out at the provider too.

    Not a redirect to the provider: form-action 'self' forbids that after a form.
    """
    provider = app_context_of(request).provider
    root = root_of(request.url.path)
    url = await provider.logout_url(id_token) if provider is not None and id_token else ""
    if not url.startswith(("https://", "http://")):
        return RedirectResponse(f"{root}login", status_code=303)
    return HTMLResponse(page("logged_out.html", root=root, url=url))


async def end_session(request: Request) -> None:
    """End the session that the request's cookie names."""
    await ended_session(request)


async def ended_session(
    request: Request, action: AuditAction | None = None
) -> tuple[Person, str] | None:
    """End the session of the cookie; return whose it was, and the provider's ID token of its login.

    Args:
        request: The request.
        action: What is recorded in the audit trail; None for nothing.
    """
    cookies = cookie_parser(request.headers.get("cookie", ""))
    token = cookies.get(transport_of(request.scope).cookie, "")
    if not token:
        return None
    store, address = app_context_of(request).store, client_address(request.scope)

    def event(person: Person) -> AuditEvent:
        return login_event(action or AuditAction.LOGOUT, person=person, address=address)

    audited = event if action is not None else None
    return await run_in_threadpool(store.end_session, digest_of(token), audited)


def logged_in(request: Request, result: LoggedIn, back: str) -> Response:
    """Return the response that gives the browser its session."""
    response: Response
    if _is_script(request):
        person = result.person
        response = JSONResponse({"login": person.login, "roles": sorted(person.roles)})
    else:
        address = f"{root_of(request.url.path)}{back.lstrip('/')}"
        response = RedirectResponse(address, status_code=303)
    set_cookie(response, transport_of(request.scope), result.token)
    return response


def _no_login(store: Store) -> str:
    """Return why no login is possible now, or ""."""
    if fault := writing_fault(store):
        return f"No login is possible now. {fault}"
    return "" if store.has_accounts() else _NO_ACCOUNT


def _may_be_local(here: AppContext, account: Account) -> bool:
    """Return whether a password is enough: not where a provider has the accounts, but in emergencies."""
    oidc = here.settings.oidc
    return oidc.issuer is None or oidc.local_accounts or account.break_glass


async def _audit_refused(request: Request, result: Refused, name: str) -> None:
    """Record a wrong password, not each attempt after too many; a name only if it is an account's."""
    if result.status != HTTPStatus.UNAUTHORIZED:
        return
    store = app_context_of(request).store
    known = await run_in_threadpool(store.credentials_of, name.strip().lower())
    await audit_refused_login(
        request, person=known[0].person if known else None, name="(unknown name)"
    )


def _account(here: AppContext, name: str, password: str) -> Account | None:
    store = here.store
    found = store.credentials_of(name.strip().lower())
    account, stored = found or (None, "")
    if account is not None and not _may_be_local(here, account):
        account, stored = None, ""
    if len(password) > LONGEST_PASSWORD or not passwords.verify_password(stored, password):
        return None
    if account is not None and passwords.is_outdated(stored):
        store.renew_password_hash(account.person.id, passwords.hash_password(password))
    return account


def _first_person(store: Store, digest: str, entered: dict[str, str], address: str) -> Account:
    login = check_login(entered["name"])
    if entered["password"] != entered["again"]:
        raise InvalidAccount("the two passwords differ: type the same one twice")
    check_password(entered["password"], login)
    return store.add_first_person(
        digest,
        login,
        display_name=check_display_name(entered["display_name"]),
        password_hash=passwords.hash_password(entered["password"]),
        audit=login_event(
            AuditAction.CHANGED_ACCOUNT,
            person=None,
            name="set-up link",
            address=address,
            detail=f"added {login}: {Role.ADMIN}",
        ),
    )


def back_of(path: str) -> str:
    """Return the page to go to after a login, if it is one of ours; "/" for anything else."""
    plain = path.isascii() and path.isprintable() and len(path) <= _LONGEST_BACK
    ours = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain and ours and ".." not in path else "/"


def _refused(request: Request, result: Refused, *, name: str, back: str) -> Response:
    headers = {"Retry-After": str(result.wait)} if result.wait else {}
    if _is_script(request):
        return JSONResponse({"error": result.message}, result.status, headers)
    response = _form(request, back=back, name=name, fault=result.message)
    response.status_code = result.status
    response.headers.update(headers)
    return response


def _form(request: Request, *, back: str = "/", name: str = "", fault: str = "") -> Response:
    here = app_context_of(request)
    html = page(
        "login.html",
        root=root_of(request.url.path),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        back=back,
        login=name,
        fault=fault,
        provider_label=here.settings.oidc.label if here.settings.oidc.issuer else "",
        provider_url=f"{root_of(request.url.path)}oidc/login?{urlencode({'next': back})}",
        local=here.settings.oidc.issuer is None or here.settings.oidc.local_accounts,
        in_the_clear=transport_of(request.scope).cookie != SECURE_COOKIE,
    )
    return HTMLResponse(html)


def _setup_form(
    request: Request, *, entered: dict[str, str] | None = None, fault: str = ""
) -> Response:
    here = app_context_of(request)
    html = page(
        "setup.html",
        root=root_of(request.url.path),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        entered=entered or {"name": "", "display_name": ""},
        fault=fault,
    )
    return HTMLResponse(html, status_code=400 if fault else 200)


def _setup_over(request: Request) -> Response:
    root = root_of(request.url.path)
    message = (
        "This set-up link has expired or was used. `wetread user add NAME --role admin` makes an "
        "account; without any account the next start of Wetread prints a new link."
    )
    html = page(
        "error.html",
        title="Link not valid",
        detail=message,
        root=root,
        back=root,
        back_text="Log in",
    )
    return HTMLResponse(html, status_code=404)


def _is_script(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")


def too_many(seconds: int) -> str:
    """Return what a person reads after too many wrong passwords, who has to wait so long."""
    minutes = -(-seconds // 60)
    return _MANY.format(f"{seconds} seconds" if seconds < 90 else f"{minutes} minutes")
