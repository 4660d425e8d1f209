"""Requests that schemathesis generates, by each role, each scope, the password and without any.

No response is 500, none goes to those without the rights, and each conforms to the description, without
a key that is not described. `--api-examples 300` runs longer.
"""

import copy
import json
from dataclasses import dataclass, field
from http import HTTPMethod
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

from service.accounts import Role
from service.tokens import Scope, mint
from service.web.app import ROUTES
from service.web.openapi.mount import api_routes

DESCRIPTION = json.loads(
    (Path(__file__).parents[4] / "docs" / "openapi.json").read_text(encoding="utf-8")
)
PASSWORD = "of-scripts"  # noqa: S105 - of this test
# A body that agrees with the description may still be refused by these: its sentences or findings do
# not fit the draft, its conditions select nothing, its model is not configured.
MORE_RULES = {
    ("POST", "/api/jobs/resend"),
    ("POST", "/api/jobs/reread"),
    ("POST", "/api/jobs/{job_id}/decisions"),
    ("PUT", "/api/jobs/{job_id}/review"),
    ("POST", "/api/jobs/{job_id}/questions"),
    ("POST", "/api/studies/{study_uid}/questions"),
    ("POST", "/api/models/use"),
    ("POST", "/api/destinations/{name}/pause"),
    ("POST", "/api/drafting/stop"),
    ("POST", "/api/final-reports"),
}
REFUSED = {401, 403}
# An unchanged response, and a wait, have no body of the description.
BODILESS = {304}


def strict(description: dict) -> dict:
    """Return the description with each object closed, to find keys that it does not name."""
    closed = copy.deepcopy(description)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return closed


GENERATING = schemathesis.openapi.from_dict(DESCRIPTION)
VALIDATING = schemathesis.openapi.from_dict(strict(DESCRIPTION))


@dataclass(frozen=True)
class Actor:
    """The sender of a request."""

    name: str
    headers: dict[str, str]
    roles: frozenset[Role] = frozenset()
    scope: Scope | None = None
    has_password: bool = False

    def may_use(self, access) -> bool:
        """Return whether a route's declaration permits the actor."""
        if self.has_password:
            return access.scope is not None
        if self.scope is not None:
            return access.scope is not None and self.scope.allows(access.scope)
        return bool(self.roles & access.roles)


@dataclass(frozen=True)
class World:
    """A site with studies in several states, and all kinds of senders."""

    client: httpx.Client
    actors: list[Actor]
    ids: dict[str, list[str]]
    access: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def world(make_module_site, seeder_of, cookie_of, postgres_server, postgres_template):
    """The site, on PostgreSQL: it refuses more texts than SQLite."""
    site = make_module_site(
        web={"port": 0, "username": "script", "password": PASSWORD},
        database={"url": postgres_server.new_database(template=postgres_template)},
    )
    seeder = seeder_of(site)
    jobs = [seeder.waiting(1), seeder.reading(2), seeder.drafted(3), seeder.drafted(4)]
    jobs += [seeder.completed(number) for number in range(5, 12)]
    cookies = {"Cookie": ""}
    actors = [Actor("nobody", cookies)]
    for role in Role:
        cookie = cookie_of(site.store, role, login=role, display_name=role)
        actors.append(Actor(role, {"Cookie": cookie}, roles=frozenset({role})))
    actors += [_program(site.store, scope) for scope in Scope]
    basic = httpx.BasicAuth("script", PASSWORD)._auth_header
    actors.append(Actor("password", {"Authorization": basic}, has_password=True))
    ids = {
        "job_id": [each.id for each in jobs],
        "study_uid": [each.study_instance_uid for each in jobs],
        "decision_id": ["0" * 32],
        "question_id": ["0" * 32],
        "notice_id": ["1"],
        "name": ["orthanc"],
        "alert_id": ["1"],
    }
    access = {
        (method, route.path): route.wetread_access
        for route in api_routes(ROUTES)
        for method in route.methods
    }
    with httpx.Client(base_url=site.url.rstrip("/"), timeout=30) as client:
        yield World(client, actors, ids, access)


def _program(store, scope: Scope) -> Actor:
    value, credential = mint()
    store.add_token(
        credential,
        name=f"t-{scope.name}",
        scopes=frozenset({scope}),
        ae_title="MODALITY" if scope is Scope.STOW else "",
        expires_at=None,
        actor="test",
    )
    return Actor(f"token {scope}", {"Authorization": f"Bearer {value}"}, scope=scope)


OPERATIONS = [
    pytest.param(method.upper(), path, id=item["operationId"])
    for path, methods in DESCRIPTION["paths"].items()
    for method, item in methods.items()
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests(world, method, path, pytestconfig):
    """Valid ones are carried out or refused for a stated reason, invalid ones are refused."""
    operation = GENERATING[path][HTTPMethod(method)]
    access = world.access[method, path]
    permitted = [each for each in world.actors if each.may_use(access)]
    others = [each for each in world.actors if not each.may_use(access)]
    common = settings(
        max_examples=pytestconfig.getoption("--api-examples"),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    valid = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    invalid = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @common
    @given(case=valid, actor=st.sampled_from(permitted), data=st.data())
    def send_valid(case, actor, data):
        if data.draw(st.sampled_from([True, True, True, False])):
            _with_known_ids(case, world, data)
        response = _send(world, case, actor)
        _check(method, path, response, f"{actor.name}: {case!r}")
        if (method, path) not in MORE_RULES and not _is_a_guess(case):
            assert response.status_code != 400, (response.text, repr(case))
        for other in others:
            refused = _send(world, case, other)
            assert refused.status_code in REFUSED, (other.name, refused.text)
            assert list(refused.json()) == ["error"]

    @common
    @given(case=invalid, actor=st.sampled_from(permitted), data=st.data())
    def send_invalid(case, actor, data):
        if ParameterLocation.PATH not in _invalid_places(case):
            _with_known_ids(case, world, data)
        response = _send(world, case, actor)
        _check(method, path, response, f"{actor.name}: {case!r}")
        # Names that the description does not know are ignored in a query, as HTTP clients expect.
        if ParameterLocation.BODY in _invalid_places(case):
            assert response.status_code >= 400, (response.text, repr(case))

    send_valid()
    if operation.body or list(operation.query):
        send_invalid()


def _invalid_places(case) -> set[ParameterLocation]:
    components = case.meta.components.items()
    return {place for place, component in components if not component.mode.is_positive}


def _is_a_guess(case) -> bool:
    """Return whether a request has a cursor that no response gave, or a text that cannot be stored."""
    return bool({"cursor", "before"} & set(case.query or ())) or "\\x00" in repr(case.body)


def _with_known_ids(case, world: World, data) -> None:
    """Put ids that exist into the path, so that not only 404 is tested."""
    for name in sorted(world.ids.keys() & set(case.path_parameters or ())):
        case.path_parameters[name] = data.draw(st.sampled_from(world.ids[name]))


def _send(world: World, case, actor: Actor) -> httpx.Response:
    given_arguments = case.as_transport_kwargs(base_url=str(world.client.base_url))
    generated = dict(given_arguments.pop("headers", None) or {})
    own = {"authorization", "cookie", "user-agent"}
    headers = {key: value for key, value in generated.items() if key.lower() not in own}
    headers |= actor.headers
    known = {"method", "url", "params", "json", "data"}
    sent = {name: value for name, value in given_arguments.items() if name in known}
    if isinstance(sent.get("data"), bytes | str):
        sent["content"] = sent.pop("data")
    return world.client.request(headers=headers, **sent)


def _check(method: str, path: str, response: httpx.Response, what: str) -> None:
    responses = DESCRIPTION["paths"][path][method.lower()]["responses"]
    assert response.status_code != 500, (response.text, what)
    if response.status_code in BODILESS:
        return
    assert str(response.status_code) in responses, (response.status_code, response.text, what)
    if response.status_code >= 400:
        assert "error" in response.json(), what
    VALIDATING[path][HTTPMethod(method)].validate_response(response)
