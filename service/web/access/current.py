"""Who makes a request, for handlers and templates.

The guard (`service.web.login.guard`) has authenticated the request and checked the route's roles before
a handler runs. A handler asks here who it is:

    person = current_person(request)      # id, login, display_name, dicom_name, roles
    store.decide(job_id, person, ...)
    actor_of(request)                     # the name for histories, also of tokens
    has_role(request, Role.ADMIN)         # for what a page shows
"""

from contextvars import ContextVar
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from service.accounts import Person, Role, Session
from service.tokens import Scope, Token

# The person whose request is being answered: templates show the name. Threads of a handler inherit it.
SHOWN_PERSON: Final[ContextVar[Person | None]] = ContextVar("shown_person", default=None)
_ROLE_OF_SCOPE: Final = {Role.ADMIN: Scope.ADMIN, Role.VIEWER: Scope.READ}


def current_person(request: HTTPConnection) -> Person:
    """Return the person who is logged in.

    Raises:
        HTTPException: 403: a program makes the request, with a token.
    """
    return session_of(request).person


def session_of(request: HTTPConnection) -> Session:
    """Return the session of the person who is logged in.

    Raises:
        HTTPException: 403: a program makes the request, with a token.
    """
    session = current_session(request)
    if session is None:
        raise HTTPException(403, "Only a person who is logged in may do this, not a program.")
    return session


def current_session(request: HTTPConnection) -> Session | None:
    """Return the session of the request; None for a program, or without a login."""
    session: Session | None = getattr(request.state, "session", None)
    return session


def current_token(request: HTTPConnection) -> Token | None:
    """Return the bearer token of the request; None for a person, or without one."""
    token: Token | None = getattr(request.state, "token", None)
    return token


def actor_of(request: HTTPConnection) -> str:
    """Return the name under which what this request does is recorded; "" without a login."""
    actor: str = getattr(request.state, "actor", "")
    return actor


def has_role(request: HTTPConnection, *roles: Role) -> bool:
    """Return whether the request's person has one of `roles`, or its token allows as much."""
    session, token = current_session(request), current_token(request)
    if session is not None:
        return session.person.has(*roles)
    if token is not None:
        return any(token.allows(_ROLE_OF_SCOPE[each]) for each in roles if each in _ROLE_OF_SCOPE)
    return bool(getattr(request.state, "is_script", False))
