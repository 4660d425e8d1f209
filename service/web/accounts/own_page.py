"""`/account`: a person changes the own password, and ends own sessions in other browsers."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service import passwords
from service.accounts import (
    LONGEST_PASSWORD,
    InvalidAccount,
    Person,
    Session,
    Source,
    check_password,
    digest_of,
    reference_of,
)
from service.audit import AuditAction, AuditEvent, AuditOutcome
from service.log import get_logger
from service.passwords import TooManyLogins
from service.sentence import sentence_of
from service.web.access.current import current_person, session_of
from service.web.access.transport import client_address
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit, event_of
from service.web.forms.frame import answer, back_to, fields_of, text_of
from service.web.login.pages import too_many

_WRONG: Final = "The current password is wrong."
_DIFFER: Final = "The two new passwords differ: type the same one twice."
# What the page confirms after a redirect, by the value of the query parameter `done`.
_DONE: Final = {
    "password": "Your password was changed. Your sessions in other browsers have ended.",
    "session": "The session was ended.",
}

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A requested change of the own password.

    Attributes:
        session: The session that asks, which goes on.
        address: The network address of the request.
    """

    session: Session
    address: str
    current: str
    new: str
    audit: AuditEvent

    @property
    def person(self) -> Person:
        """Whose password it is."""
        return self.session.person


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a password was not changed: HTTP status, a sentence, and the seconds to wait, if any."""

    status: int
    message: str
    wait: int = 0


async def account_page(request: Request) -> Response:
    """Answer with the person's account, the form for a new password, and the sessions."""
    done = _DONE.get(request.query_params.get("done", ""), "")
    return await _page(request, done=done)


async def change_password(request: Request) -> Response:
    """Verify the current password as a login does, and set the new one."""
    form, session = await fields_of(request), session_of(request)
    if text_of(form, "password") != text_of(form, "again"):
        return await _page(request, fault=Fault(status=400, message=_DIFFER))
    detail = f"password of {session.person.login}"
    change = Change(
        session=session,
        address=client_address(request.scope),
        current=text_of(form, "current"),
        new=text_of(form, "password"),
        audit=event_of(request, AuditAction.CHANGED_ACCOUNT, detail=detail),
    )
    fault = await run_in_threadpool(_changed, app_context_of(request), change)
    if fault is None:
        return back_to(request, "account?done=password")
    if fault.status == HTTPStatus.FORBIDDEN:
        refused = AuditOutcome.REFUSED
        await audit(request, AuditAction.CHANGED_ACCOUNT, detail=detail, outcome=refused)
    return await _page(request, fault=fault)


async def end_session(request: Request) -> Response:
    """End one of the person's own sessions."""
    store, person = app_context_of(request).store, current_person(request)
    event = event_of(request, AuditAction.LOGOUT, detail="ended on the account page")
    reference = request.path_params["reference"]
    await run_in_threadpool(store.end_own_session, person.id, reference, event)
    return back_to(request, "account?done=session")


def _changed(here: AppContext, change: Change) -> Fault | None:
    """Change the password; return why not, if not. Wrong ones count as failed logins."""
    name, store = digest_of(change.person.login), here.store
    try:
        if store.account_of(change.person.login).source is Source.OIDC:
            raise InvalidAccount("your password is kept at the login provider: change it there")
        check_password(change.new, change.person.login)
        if wait := store.begin_login(name, change.address):
            log.warning("login_throttled", address=change.address, seconds=wait)
            return Fault(status=429, message=too_many(wait), wait=wait)
        stored = _verified(here, change)
        if not stored:
            log.warning("login_failed", address=change.address)
            return Fault(status=403, message=_WRONG)
        store.login_succeeded(name, change.address)
        store.change_own_password(
            change.person.id,
            verified_hash=stored,
            password_hash=passwords.hash_password(change.new),
            session_digest=change.session.digest,
            audit=change.audit,
        )
    except InvalidAccount as error:
        return Fault(status=400, message=sentence_of(error))
    except TooManyLogins as error:
        return Fault(status=503, message=sentence_of(error), wait=5)
    return None


def _verified(here: AppContext, change: Change) -> str:
    """Return the stored hash if it is that of the current password, else ""."""
    found = here.store.credentials_of(change.person.login)
    stored = found[1] if found else ""
    fits = len(change.current) <= LONGEST_PASSWORD
    return stored if fits and passwords.verify_password(stored, change.current) else ""


async def _page(request: Request, *, done: str = "", fault: Fault | None = None) -> Response:
    here, session = app_context_of(request), session_of(request)
    store, person = here.store, session.person
    account = await run_in_threadpool(store.account_of, person.login)
    sessions = await run_in_threadpool(store.open_sessions, person.id, here.sessions.limits)
    response = answer(
        request,
        "accounts/own.html",
        area="account",
        status=fault.status if fault else 200,
        account=account,
        sessions=sessions,
        own_reference=reference_of(session.digest),
        provider=here.settings.oidc.issuer or "",
        done=done,
        fault=fault.message if fault else "",
    )
    if fault and fault.wait:
        response.headers["Retry-After"] = str(fault.wait)
    return response
