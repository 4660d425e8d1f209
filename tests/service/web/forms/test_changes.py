"""One function makes a change that a form or a JSON request asks for."""

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from service.web.forms.changes import by_form, by_json


@pytest.fixture(scope="module")
def client():
    """A form and a JSON request that set the same two texts."""
    texts = {}

    async def change(request, given):
        texts.clear()
        texts.update(given, name=request.path_params["name"])

    async def state(_):
        return JSONResponse(texts)

    form, body = (
        by_form(change, "reason", "model", page="items"),
        by_json(change, "reason", "model", answer=state),
    )
    routes = [
        Route("/items/{name}", form, methods=["POST"]),
        Route("/api/items/{name}", body, methods=["POST"]),
        Route("/state", state),
    ]
    return TestClient(Starlette(routes=routes), follow_redirects=False)


def test_a_form_changes_and_returns_to_its_page(client):
    """A missing field is empty, an unknown one is not passed on; the address is relative."""
    answer = client.post("/items/a", data={"reason": "r", "other": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "../items")
    assert client.get("/state").json() == {"reason": "r", "model": "", "name": "a"}


def test_a_json_request_changes_and_answers_with_the_state(client):
    """The same texts from the members of an object."""
    answer = client.post("/api/items/b", json={"model": "m", "other": 1})
    assert answer.json() == {"reason": "", "model": "m", "name": "b"}


@pytest.mark.parametrize("value", [1, None, ["m"], {}])
def test_a_value_that_is_no_text_changes_nothing(client, value):
    """400, with the key."""
    before = client.get("/state").json()
    answer = client.post("/api/items/c", json={"model": value})
    assert (answer.status_code, answer.text) == (400, '"model" is a string.')
    assert client.get("/state").json() == before
