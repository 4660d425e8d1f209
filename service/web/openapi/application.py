"""The FastAPI application of `/api`.

FastAPI routes the requests and makes the OpenAPI description from the models of the responses and
bodies. The handlers validate what they read themselves, in one place with the pages and the command
line, with sentences that say what to correct; tests hold the description and the handlers equal.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import Route

from service.idempotency import KeyConflict
from service.web.app_context import AppContext
from service.web.failures import answer_unexpected
from service.web.json_api.conditional import Handler, conditional
from service.web.json_api.idempotent import answer_key_conflict, idempotent
from service.web.openapi import job_operations, review_operations, service_operations
from service.web.openapi.description import describe, route_options
from service.web.openapi.operation import Once, Operation
from service.web.openapi.prefix import PREFIX

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    **job_operations.OPERATIONS,
    **review_operations.OPERATIONS,
    **service_operations.OPERATIONS,
}
_TITLE: Final = "Wetread"
_VERSION: Final = "1"
_DESCRIPTION: Final = (
    "Drafts of chest X-ray reports, made by AI. No draft is verified; none is a diagnosis. No response "
    'holds a patient attribute. Errors are `{"error": "a sentence"}`. docs/api.md describes each field.'
)


class Api(FastAPI):
    """The application with the description of its declared operations."""

    declared: Sequence[Route] = ()

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description; it is made once."""
        if not self.openapi_schema:
            self.openapi_schema = describe(super().openapi(), self.declared, OPERATIONS)
        return self.openapi_schema


def make_api(
    declared: Sequence[Route], here: AppContext | None, handlers: Mapping[Any, Any]
) -> Api:
    """Return the application.

    Args:
        declared: The routes of the API, with the prefix in their paths.
        here: The shared objects of the process; None for the description alone.
        handlers: Handlers of errors, by the class of the error.
    """
    app = Api(
        title=_TITLE,
        version=_VERSION,
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        exception_handlers={
            **handlers,
            KeyConflict: answer_key_conflict,
            Exception: answer_unexpected,
        },
    )
    app.state.app_context = here
    app.declared = declared
    for route in declared:
        _add(app, route)
    return app


def openapi_text(declared: Sequence[Route]) -> str:
    """Return the description of these routes as docs/openapi.json has it."""
    description = make_api(declared, None, {}).openapi()
    return json.dumps(description, indent=1, ensure_ascii=False) + "\n"


def _add(app: Api, route: Route) -> None:
    methods = sorted((route.methods or set()) - {"HEAD"})
    path = route.path.removeprefix(PREFIX)
    for method in methods:
        operation = OPERATIONS.get((method, route.path))
        options = route_options(operation, path) if operation else {"include_in_schema": False}
        endpoint = _endpoint(route, method, operation)
        app.add_api_route(path, endpoint, methods=[method], **{"response_model": None, **options})
    if "GET" in methods:  # Starlette answers HEAD where GET is declared, FastAPI does not
        hidden: dict[str, Any] = {"response_model": None, "include_in_schema": False}
        app.add_api_route(path, conditional(route.endpoint), methods=["HEAD"], **hidden)


def _endpoint(route: Route, method: str, operation: Operation | None) -> Handler:
    """Return the handler of a route with ETags, or with idempotency keys."""
    handler: Handler = route.endpoint
    if method == "GET":
        return conditional(handler)
    takes_key = operation is not None and operation.once is Once.OPTIONAL
    return idempotent(handler) if takes_key else handler
