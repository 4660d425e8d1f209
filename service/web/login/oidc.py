"""Login by an OpenID Connect provider: authorization code, PKCE, nonce; logout from either side.

`/oidc/login` sends the browser to the provider, `/oidc/callback` takes it back, and the provider reports
its own logouts to `/oidc/backchannel` (OpenID Connect Back-Channel Logout 1.0). Between the two requests
state, nonce and code verifier are in a signed cookie of ten minutes.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from httpx2 import HTTPError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount

from service.accounts import InvalidAccount, Person, Role, check_display_name, check_login
from service.audit import AuditAction, AuditEvent
from service.log import get_logger
from service.settings.config import Settings
from service.settings.keys.oidc import Oidc
from service.web.access.roles import OPEN, guarded
from service.web.access.transport import client_address
from service.web.app_context import app_context_of
from service.web.auditing import audit_refused_login, login_event
from service.web.login.pages import LoggedIn, back_of, end_session, logged_in, opened
from service.web.render import page, root_of

_STATE_COOKIE: Final = "__Host-wetread-oidc"
_STATE_SECONDS: Final = 600
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_CLOCK_SECONDS: Final = 120
_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384"]
_LONGEST_SID: Final = 255

log = get_logger(__name__)


class Provider:
    """The configured provider and the routes that use it."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings; the provider is asked at the first login."""
        self._settings = settings.oidc
        self._callback = f"{(settings.web.public_url or '').rstrip('/')}/oidc/callback"
        issuer = (settings.oidc.issuer or "").rstrip("/")
        registry: Any = OAuth  # its module has no types
        self._client: Any = registry().register(
            "provider",
            client_id=settings.oidc.client_id,
            client_secret=settings.oidc.client_secret.get_secret_value() or None,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.oidc.scope,
                "code_challenge_method": "S256",
                "timeout": 10.0,
            },
        )

    def routes(self) -> list[BaseRoute]:
        """Return the routes, below one mount that keeps the state of a login."""
        secret = self._settings.client_secret.get_secret_value() + self._settings.client_id
        key = hashlib.sha256(f"wetread oidc state {secret}".encode()).hexdigest()
        state = Middleware(
            SessionMiddleware,
            secret_key=key,
            session_cookie=_STATE_COOKIE,
            max_age=_STATE_SECONDS,
            same_site="lax",
            https_only=True,
        )
        routes = [
            guarded("/login", self.log_in, access=OPEN),
            guarded("/callback", self.called_back, access=OPEN),
            guarded("/backchannel", self.backchannel, access=OPEN, methods=("POST",)),
        ]
        return [Mount("/oidc", routes=routes, middleware=[state])]

    async def log_in(self, request: Request) -> Response:
        """Send the browser to the provider."""
        request.session.clear()
        request.session["back"] = back_of(request.query_params.get("next", ""))
        try:
            answer: Response = await self._client.authorize_redirect(request, self._callback)
        except (HTTPError, OAuthError, ValueError, KeyError) as error:
            log.warning("oidc_unavailable", reason=type(error).__name__)
            return _refusal(request, 503, "The login provider does not answer. Try again later.")
        return answer

    async def called_back(self, request: Request) -> Response:
        """Exchange the code for the ID token, and open a session with the roles of the groups."""
        back = str(request.session.get("back", "/"))
        try:
            token = await self._client.authorize_access_token(
                request, claims_options=await self._claims_options()
            )
            claims = dict(token["userinfo"])
        except (OAuthError, JoseError, HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("oidc_refused", reason=type(error).__name__)
            await audit_refused_login(
                request, person=None, name="(OpenID Connect)", detail=type(error).__name__
            )
            return _refusal(request, 401, "The login was not completed. Begin again.")
        finally:
            request.session.clear()
        return await self._enter(request, claims, str(token.get("id_token", "")), back)

    async def backchannel(self, request: Request) -> Response:
        """End the sessions that the provider ended; 400 for a token that is not valid."""
        form = await request.form(max_files=0, max_fields=3)
        try:
            claims = await self._logout_claims(str(form.get("logout_token", "")))
        except (JoseError, HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("oidc_logout_refused", reason=type(error).__name__)
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        subject, sid = str(claims.get("sub", "")), str(claims.get("sid", ""))
        store = app_context_of(request).store
        issuer = str(claims["iss"])
        event = login_event(
            AuditAction.LOGOUT,
            person=None,
            name="(OpenID Connect)",
            address=client_address(request.scope),
        )
        await run_in_threadpool(
            store.end_oidc_sessions, issuer, subject=subject, sid=sid, audit=event
        )
        return Response(status_code=200)

    async def logout_url(self, id_token: str) -> str:
        """Return the provider's address at which a person logs out there too; "" if it has none."""
        try:
            metadata = await self._client.load_server_metadata()
            if not metadata.get("end_session_endpoint"):
                return ""
            url = await self._client.create_logout_url(id_token_hint=id_token)
        except (HTTPError, ValueError, RuntimeError):
            return ""
        return str(url["url"])

    async def _claims_options(self) -> dict[str, Any]:
        metadata = await self._client.load_server_metadata()
        return {
            "iss": {"essential": True, "values": [metadata["issuer"]]},
            "aud": {"essential": True, "values": [self._settings.client_id]},
            "sub": {"essential": True},
        }

    async def _enter(
        self, request: Request, claims: Mapping[str, Any], id_token: str, back: str
    ) -> Response:
        roles, here = roles_of(self._settings, claims), app_context_of(request)
        if not roles:
            message = (
                "Your account has no role here. Ask an administrator which group it needs "
                f"(claim {self._settings.groups_claim})."
            )
            return await _no_role(request, claims, message)
        try:
            login, name = names_of(self._settings, claims)
            account = await run_in_threadpool(
                here.store.oidc_person,
                str(claims["iss"]),
                str(claims["sub"]),
                login=login,
                display_name=name,
                roles=roles,
                audited=partial(_changed_account, client_address(request.scope)),
            )
        except InvalidAccount as error:
            return await _no_role(request, claims, f"{str(error).capitalize()}.")
        await end_session(request)
        sid = str(claims.get("sid", ""))[:_LONGEST_SID]
        address = client_address(request.scope)
        result = await run_in_threadpool(
            opened,
            here,
            account.person,
            address,
            oidc_sid=sid,
            id_token=id_token,
            detail="OpenID Connect",
        )
        if not isinstance(result, LoggedIn):
            return _refusal(request, result.status, result.message)
        return logged_in(request, result, back)

    async def _logout_claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a logout token (Back-Channel Logout 1.0, 2.6).

        Raises:
            JoseError, ValueError, KeyError: It is not valid.
        """
        metadata = await self._client.load_server_metadata()
        keys = KeySet.import_key_set(await self._client.fetch_jwk_set(force=True))
        claims = dict(jwt.decode(token, keys, algorithms=_ALGORITHMS).claims)
        rules = jwt.JWTClaimsRegistry(
            leeway=_CLOCK_SECONDS,
            iss={"essential": True, "value": metadata["issuer"]},
            aud={"essential": True, "value": self._settings.client_id},
            iat={"essential": True},
        )
        rules.validate(claims)
        events = claims["events"]
        if _LOGOUT_EVENT not in events or "nonce" in claims:
            raise ValueError("no logout token")
        if not (claims.get("sub") or claims.get("sid")):
            raise ValueError("neither sub nor sid")
        return claims


def roles_of(settings: Oidc, claims: Mapping[str, Any]) -> frozenset[Role]:
    """Return the roles that a person's groups give."""
    stated = claims.get(settings.groups_claim, [])
    groups = {stated} if isinstance(stated, str) else {str(each) for each in stated or ()}
    given = {
        Role.ADMIN: settings.admin_groups,
        Role.RADIOLOGIST: settings.radiologist_groups,
        Role.VIEWER: settings.viewer_groups,
    }
    return frozenset(role for role, names in given.items() if groups & set(names))


def names_of(settings: Oidc, claims: Mapping[str, Any]) -> tuple[str, str]:
    """Return login name and display name.

    Raises:
        InvalidAccount: A claim cannot be a name.
    """
    login = check_login(str(claims.get(settings.login_claim) or claims["sub"])[:64])
    return login, check_display_name(str(claims.get(settings.name_claim) or "")[:64])


def _changed_account(address: str, person: Person, is_new: bool) -> AuditEvent:
    """Return the event of an account that the provider's groups made or changed."""
    roles = ", ".join(sorted(person.roles))
    return login_event(
        AuditAction.CHANGED_ACCOUNT if is_new else AuditAction.CHANGED_ROLES,
        person=person,
        address=address,
        detail=f"OpenID Connect {'added' if is_new else 'changed'} {person.login}: {roles}",
    )


async def _no_role(request: Request, claims: Mapping[str, Any], message: str) -> Response:
    await audit_refused_login(
        request,
        person=None,
        name=json.dumps(str(claims.get("sub", "")))[:64],
        detail="OpenID Connect: no role, or disabled",
    )
    return _refusal(request, 403, message)


def _refusal(request: Request, status: int, message: str) -> Response:
    root = root_of(request.url.path)
    html = page(
        "error.html",
        title="Not logged in",
        detail=message,
        root=root,
        back=f"{root}login",
        back_text="To the login page",
    )
    return HTMLResponse(html, status_code=status)
