"""`/people`: an admin adds accounts, changes roles, makes password links, disables and enables."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from service.accounts import (
    PASSWORD_LINK_LIFETIME,
    Account,
    InvalidAccount,
    Role,
    added_detail,
    check_dicom_name,
    check_display_name,
    check_login,
    check_roles,
    new_secret,
)
from service.audit import AuditAction, AuditEvent
from service.sentence import sentence_of
from service.store import Store
from service.web.access.current import current_person
from service.web.app_context import app_context_of
from service.web.auditing import event_of
from service.web.forms.frame import (
    answer,
    back_to,
    fields_of,
    text_of,
    texts_of,
)

_AREA: Final = "people"
_ROLE_TEXTS: Final = {
    Role.ADMIN: "operates the service: queue, accounts, settings, audit",
    Role.RADIOLOGIST: "reads studies and decides on drafts",
    Role.VIEWER: "looks at studies and the queue",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """The fields of the form that adds an account, as they were entered."""

    login: str = ""
    display_name: str = ""
    dicom_name: str = ""
    roles: frozenset[str] = field(default_factory=frozenset)


async def people_page(request: Request) -> Response:
    """Answer with all accounts and the form that adds one."""
    return await _page(request)


async def add_account(request: Request) -> Response:
    """Add an account without a password, and show the link with which its person sets one."""
    entered = _entered(await fields_of(request))
    token, digest = new_secret()
    event = event_of(request, AuditAction.CHANGED_ACCOUNT)
    store = app_context_of(request).store
    try:
        account = await run_in_threadpool(_invite, store, entered, digest, event)
    except InvalidAccount as error:
        return await _page(request, entered=entered, fault=sentence_of(error))
    return _link_page(request, account, token)


async def make_link(request: Request) -> Response:
    """Make a password link for an account, and show it."""
    store, login = app_context_of(request).store, _login(request)
    token, digest = new_secret()
    event = event_of(request, AuditAction.CHANGED_ACCOUNT, detail=f"password link for {login}")
    until = store.now() + PASSWORD_LINK_LIFETIME
    try:
        account = await run_in_threadpool(store.add_password_link, login, digest, until, event)
    except InvalidAccount as error:
        return await _page(request, fault=sentence_of(error))
    return _link_page(request, account, token)


async def change_roles(request: Request) -> Response:
    """Replace the roles of an account; its sessions end."""
    store, login = app_context_of(request).store, _login(request)
    words = texts_of(await fields_of(request), "role")

    def change() -> Account:
        roles = check_roles(words)
        detail = f"{login}: {', '.join(sorted(roles))}"
        event = event_of(request, AuditAction.CHANGED_ROLES, detail=detail)
        return store.set_roles(login, roles, event)

    return await _changed(request, change)


async def disable_account(request: Request) -> Response:
    """Refuse logins of an account from now on; its sessions end."""
    return await _switch(request, disabled=True)


async def enable_account(request: Request) -> Response:
    """Allow logins of a disabled account again."""
    return await _switch(request, disabled=False)


async def _switch(request: Request, *, disabled: bool) -> Response:
    store, login = app_context_of(request).store, _login(request)
    detail = f"{'disabled' if disabled else 'enabled'} {login}"
    event = event_of(request, AuditAction.CHANGED_ACCOUNT, detail=detail)
    return await _changed(
        request, lambda: store.disable_person(login, disabled=disabled, audit=event)
    )


async def _changed(request: Request, change: Callable[[], Account]) -> Response:
    """Change an account, and return to the page; where that is not possible, say why."""
    try:
        account = await run_in_threadpool(change)
    except InvalidAccount as error:
        return await _page(request, fault=sentence_of(error))
    return back_to(request, f"people?changed={quote(account.person.login)}")


def _login(request: Request) -> str:
    return str(request.path_params["login"]).lower()


def _entered(form: FormData) -> NewAccount:
    return NewAccount(
        login=text_of(form, "login"),
        display_name=text_of(form, "display_name"),
        dicom_name=text_of(form, "dicom_name"),
        roles=frozenset(texts_of(form, "role")),
    )


def _invite(store: Store, entered: NewAccount, digest: str, event: AuditEvent) -> Account:
    login, roles = check_login(entered.login), check_roles(entered.roles)
    return store.invite(
        login,
        roles=roles,
        display_name=check_display_name(entered.display_name),
        dicom_name=check_dicom_name(entered.dicom_name),
        link_digest=digest,
        expires_at=store.now() + PASSWORD_LINK_LIFETIME,
        audit=event.with_detail(added_detail(login, roles)),
    )


async def _page(
    request: Request, *, entered: NewAccount | None = None, fault: str = ""
) -> Response:
    here = app_context_of(request)
    accounts = await run_in_threadpool(here.store.accounts)
    changed = request.query_params.get("changed", "")
    return answer(
        request,
        "accounts/people.html",
        area=_AREA,
        status=400 if fault else 200,
        accounts=accounts,
        own_login=current_person(request).login,
        role_texts=_ROLE_TEXTS,
        entered=entered or NewAccount(),
        adds=here.settings.oidc.issuer is None or here.settings.oidc.local_accounts,
        provider=here.settings.oidc.issuer or "",
        changed=next((each for each in accounts if each.person.login == changed), None),
        fault=fault,
    )


def _link_page(request: Request, account: Account, token: str) -> Response:
    """Show a link, which is stored as a digest only: it cannot be shown again."""
    here = app_context_of(request)
    base = here.settings.web.public_url or str(request.base_url)
    return answer(
        request,
        "accounts/link.html",
        area=_AREA,
        account=account,
        token=token,
        url=f"{base.rstrip('/')}/password/{token}",
        expires_at=here.store.now() + PASSWORD_LINK_LIFETIME,
    )
