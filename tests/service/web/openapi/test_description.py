"""docs/openapi.json describes the routes as declared and served."""

import json
from pathlib import Path

import pytest

from service.accounts import Role
from service.web.app import ROUTES
from service.web.openapi.application import OPERATIONS, openapi_text
from service.web.openapi.mount import api_routes

OPENAPI_JSON = Path(__file__).parents[4] / "docs" / "openapi.json"


def declared() -> dict:
    """Return each declared method and path of the API, with its route."""
    return {
        (method, route.path): route
        for route in api_routes(ROUTES)
        for method in route.methods - {"HEAD"}
    }


def test_the_committed_description_is_that_of_the_routes():
    """`wetread openapi > docs/openapi.json` writes it anew."""
    assert OPENAPI_JSON.read_text(encoding="utf-8") == openapi_text(api_routes(ROUTES))


def test_each_route_is_described_and_nothing_else():
    """A new route needs an Operation in service/web/openapi."""
    paths = json.loads(OPENAPI_JSON.read_text(encoding="utf-8"))["paths"]
    described = {(method.upper(), path) for path, item in paths.items() for method in item}
    assert described == set(declared()) == set(OPERATIONS)
    names = [each.name for each in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def test_it_states_who_may_use_each_operation():
    """The roles of a session and the scopes of a token, as the routes declare them."""
    paths = json.loads(OPENAPI_JSON.read_text(encoding="utf-8"))["paths"]
    for (method, path), route in declared().items():
        access, security = route.wetread_access, paths[path][method.lower()]["security"]
        schemes = {name: words for each in security for name, words in each.items()}
        assert schemes.get("session", []) == sorted(access.roles)
        assert ("token" in schemes, "password" in schemes) == ((access.scope is not None,) * 2)
        assert access.scope is None or access.scope in schemes["token"]


def test_it_is_served_to_those_who_may_read(site, cookie_of):
    """The same text, for every role; nothing without a login, and no page from another site."""
    viewer = cookie_of(site.store, Role.VIEWER, login="v")
    served = site.get("/api/openapi.json", as_=viewer)
    assert served.json() == json.loads(OPENAPI_JSON.read_text(encoding="utf-8"))
    assert site.get("/api/openapi.json", as_="").status_code == 401
    for path in ("/api/docs", "/docs", "/api/redoc"):
        assert site.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/jobs/ffff", 404),
        ("DELETE", "/api/jobs", 405),
        ("GET", "/api/jobs?limit=0", 400),
        ("GET", "/api/jobs?study=1.2%00", 400),
        ("POST", "/api/jobs/resend", 415),
    ],
)
def test_errors_have_one_form(site, method, path, status):
    """Also those that FastAPI raises itself."""
    answer = site.request(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


@pytest.mark.parametrize(
    "body",
    [b'{"reason": "\\u0000"}', b'{"model": "\\ud800"}', b"[" * 9000, b'{"a": ' * 2000, b'"x"'],
)
def test_a_body_that_cannot_be_stored_is_400(site, seeder, body):
    """NUL, half a surrogate pair, and nesting beyond the parser's limit are no faults of the service."""
    job = seeder.completed(1)
    headers = {"Content-Type": "application/json"}
    answer = site.post(f"/api/jobs/{job.id}/reread", content=body, headers=headers)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
