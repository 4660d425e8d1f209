"""The OpenAPI description of the JSON API: what FastAPI cannot derive from the handlers."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic.json_schema import models_json_schema
from starlette.routing import Route

from service.tokens import Scope
from service.web.access.roles import Access, access_declared_by
from service.web.access.transport import SECURE_COOKIE
from service.web.openapi.operation import Once, Operation, Parameter, Place, Schema
from service.web.openapi.schema_types import Problem

Operations = Mapping[tuple[str, str], Operation]

_REFERENCE: Final = "#/components/schemas/{model}"
_ALWAYS: Final = {
    400: "The request is invalid.",
    401: "No login, or an invalid token.",
    403: "The role or the scope is missing, or the request came from another web site.",
    404: "It does not exist.",
    503: "The database is unavailable, or the server is stopping.",
}
_OF_A_BODY: Final = {
    413: "The body is too long.",
    415: "The body is not application/json.",
}
_SCHEMES: Final = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SECURE_COOKIE,
        "description": "The session of a person who has logged in (`POST /login`). Without TLS, on "
        "this machine only, the cookie has another name.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token with the scope that the operation names (`wetread token add`).",
    },
    "password": {
        "type": "http",
        "scheme": "basic",
        "description": "`web.username` and `web.password` of the settings, with all rights.",
    },
}
_PATH_WORDS: Final[Mapping[str, tuple[str, Schema]]] = {
    "job_id": (
        "Id of a job, or its first characters (at least 4).",
        {"type": "string", "pattern": "^[0-9a-f]{4,32}$"},
    ),
    "study_uid": (
        "Study Instance UID.",
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64},
    ),
    "decision_id": ("Id of a decision.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    "question_id": ("Id of a question.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    "notice_id": ("Number of a notice.", {"type": "integer", "minimum": 1}),
}
_OTHER_WORD: Final = ("Name or id.", {"type": "string"})
_KEY_SCHEMA: Final[Schema] = {"type": "string", "pattern": "^[!-~]{8,64}$"}
_OTHER_KEY: Final = "The Idempotency-Key belongs to another request."
_KEY_WORDS: Final = (
    "A new random text for each intended action. A repetition with the same body gets the response of "
    "the first request; another body is 409."
)


def route_options(operation: Operation, path: str) -> dict[str, Any]:
    """Return the options of `FastAPI.add_api_route` for an operation.

    Args:
        operation: The operation.
        path: The path of its route; its words become parameters.
    """
    errors = {**_ALWAYS, **(_OF_A_BODY if operation.body else {}), **operation.errors}
    if operation.once is not Once.NEVER:
        errors.setdefault(409, _OTHER_KEY)
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": operation.error_answers.get(status, Problem), "description": words}
        for status, words in errors.items()
    }
    if operation.creates:
        responses[200] = {"model": operation.answer, "description": "A repetition: nothing new."}
    extra: dict[str, Any] = {
        "parameters": [each.as_json() for each in _parameters(operation, path)]
    }
    if operation.body:
        schema = {"$ref": _REFERENCE.format(model=operation.body.__name__)}
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return {
        "response_model": operation.answer,
        "status_code": 201 if operation.creates else 200,
        "operation_id": operation.name,
        "summary": operation.summary,
        "description": operation.description or operation.summary,
        "response_description": "Done.",
        "tags": [operation.tag.value],
        "responses": responses,
        "openapi_extra": extra,
    }


def describe(
    made: dict[str, Any], declared: Sequence[Route], operations: Operations
) -> dict[str, Any]:
    """Return the description with full paths, the bodies' schemas, and who may use each operation.

    Args:
        made: What FastAPI made of the routes; it is changed.
        declared: The routes, with the prefix in their paths.
        operations: What is described.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in declared:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            operation = operations.get((method, route.path))
            if operation is None:
                continue
            below = "/" + route.path.split("/", 2)[2]
            item = made["paths"][below][method.lower()]
            paths.setdefault(route.path, {})[method.lower()] = {
                **item,
                "security": _security(access_declared_by(route)),
            }
    made["paths"] = paths
    components = made.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    for name, schema in _body_schemas(operations.values()).items():
        schemas.setdefault(name, schema)
    components["schemas"] = dict(sorted(schemas.items()))
    return made


def _parameters(operation: Operation, path: str) -> Iterator[Parameter]:
    for word in re.findall(r"{(\w+)}", path):
        description, schema = _PATH_WORDS.get(word, _OTHER_WORD)
        yield Parameter(
            name=word, description=description, schema=schema, place=Place.PATH, required=True
        )
    yield from operation.parameters
    if operation.once is not Once.NEVER:
        yield Parameter(
            name="Idempotency-Key",
            description=_KEY_WORDS,
            schema=_KEY_SCHEMA,
            place=Place.HEADER,
            required=operation.once is Once.REQUIRED,
        )


def _body_schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    bodies = {each.body.__name__: each.body for each in operations if each.body}
    _, found = models_json_schema(
        [(each, "validation") for each in bodies.values()], ref_template=_REFERENCE
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _security(access: Access | None) -> list[dict[str, list[str]]]:
    """Return who may use an operation, any of these; roles and scopes as in OpenAPI 3.1, 4.8.30."""
    if access is None or access.is_open:
        return []
    found: list[dict[str, list[str]]] = []
    if access.roles:
        found.append({"session": sorted(each.value for each in access.roles)})
    if access.scope:
        allowing = [each.value for each in Scope if each.allows(access.scope)]
        found += [{"token": sorted(allowing)}, {"password": []}]
    return found
