"""Each route declares its roles, and each role has exactly the declared access."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Mount, Route

from service.accounts import Role
from service.tokens import Scope, mint
from service.web.access.roles import (
    EVERYONE,
    Access,
    UndeclaredRoute,
    access_of,
    check_declared,
    declare,
    guarded,
)
from service.web.app import ROUTES

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Not in the matrix: their answers to a login that fails are those of a login that is missing.
LOGGED_OUT_BY = {"/login", "/logout"}
NO_PATIENT = {"/login", "/logout", "/setup/{link}", "/healthz", "/readyz", "/static"}
NO_PATIENT |= {"/password/{link}"}


def answer(_request):
    """Answer with a text."""
    return PlainTextResponse("here")


def test_a_route_without_a_declaration_fails_at_the_start():
    """Also one of an application that is mounted."""
    with pytest.raises(UndeclaredRoute, match="/open"):
        check_declared([guarded("/a", answer, roles=EVERYONE), Route("/open", answer)])
    inner = Starlette(routes=[guarded("/a", answer, roles=EVERYONE), Route("/b", answer)])
    with pytest.raises(UndeclaredRoute, match="/api/b"):
        check_declared([Mount("/api", inner)])
    with pytest.raises(UndeclaredRoute):
        guarded("/nobody", answer)


def test_a_mounted_application_declares_its_endpoints():
    """As FastAPI's do: the declaration stands at the function."""

    def endpoint(_request):
        return PlainTextResponse("mounted")

    wanted = Access(roles=frozenset({Role.ADMIN}))
    declare(endpoint, wanted)
    routes = [Mount("/api", Starlette(routes=[Route("/b", endpoint)]))]
    check_declared(routes)
    scope = {"type": "http", "method": "GET", "path": "/api/b", "root_path": "", "headers": []}
    assert access_of(routes, scope) == wanted
    assert access_of(routes, {**scope, "path": "/api/c"}) is None


def test_only_these_routes_are_open():
    """Another public route must be added here."""
    check_declared(ROUTES)
    opened = {
        each.path
        for each in ROUTES
        if (access := getattr(each, "wetread_access", None)) and access.is_open
    }
    assert opened == NO_PATIENT


@pytest.fixture(scope="module")
def paths():
    """The path and method of each request of the matrix, with ids that exist nowhere."""
    examples = {"{study_uid}": "1.2.3", "{film_uid}": "1.2.4", "{job_id}": "0" * 32}
    examples |= {"{level}": "0"}
    examples |= {"{name}": "pacs", "{link}": "none", "{decision_id}": "0" * 32, "{notice_id}": "1"}
    examples |= {"{question_id}": "0" * 32, "{finding}": "edema"}
    examples |= {"{reference}": "0" * 16, "{login}": "nobody", "{token_id}": "0" * 12}
    examples |= {"{alert_id}": "1", "{evaluation}": "none"}
    examples |= {"{folder}": "none", "{document}": "none"}
    examples |= {"{reader_study}": "0" * 32, "{item}": "0" * 32}
    found = []
    for route in ROUTES:
        path = route.path
        for word, example in examples.items():
            path = path.replace(word, example)
        assert "{" not in path, f"give an example for {path}"
        found.append((route, path if path != "/static" else "/static/wetread.css"))
    return found


def test_route_by_role_by_method(make_site, cookie_of, paths):
    """Without login 401 or a redirect to the login page; with another role 403; else neither."""
    site = make_site()
    cookies = {frozenset({role}): cookie_of(site.store, role, login=role) for role in Role}
    wrong = []
    for path in sorted({path for _, path in paths} - LOGGED_OUT_BY):
        if path.startswith("/live") and not path.endswith(".json"):
            continue  # an accepted stream does not end; test_live reads them
        for method in METHODS:
            for roles, cookie in [(frozenset(), ""), *cookies.items()]:
                response = site.request(method, path, as_=cookie)
                expected = _expected(_route_of(method, path), roles)
                if _verdict(response) != expected:
                    wrong.append((method, path, sorted(roles), response.status_code, expected))
    assert wrong == []


def _route_of(method, path):
    """Return the route that answers a request, or that refuses its method."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    matches = [(route.matches(scope)[0], route) for route in ROUTES]
    full = [route for match, route in matches if match is Match.FULL]
    return (full or [route for match, route in matches if match is Match.PARTIAL])[0]


def _verdict(response) -> str:
    assert response.status_code != 500, response.text
    if response.status_code == 401 or "login" in response.headers.get("location", ""):
        return "login"
    return "forbidden" if response.status_code == 403 else "passed"


def _expected(route, roles) -> str:
    access = route.wetread_access
    if access.is_open:
        return "passed"
    if not roles:
        return "login"
    return "passed" if access.roles & roles else "forbidden"


@pytest.mark.parametrize("scope", list(Scope))
def test_a_token_gets_the_routes_of_its_scope_only(make_site, paths, scope):
    """Every other route of the API is 403, every page 401."""
    site = make_site(logged_in=False)
    value, credential = mint()
    ae_title = "MODALITY" if scope is Scope.STOW else ""
    site.store.add_token(
        credential,
        name="t",
        scopes=frozenset({scope}),
        ae_title=ae_title,
        expires_at=None,
        actor="test",
    )
    token = site.store.tokens()[0]
    headers = {"Authorization": f"Bearer {value}"}
    for route, path in paths:
        access = route.wetread_access
        if access.is_open or "GET" not in (route.methods or ()):
            continue
        status = site.get(path, headers=headers, as_="").status_code
        if access.scope is None:
            assert (path, status) == (path, 401)
        else:
            assert (path, status == 403) == (path, not token.allows(access.scope))
