"""A change that a form of a page and the JSON API both request: one function does it for both."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.web.api import body_of
from service.web.forms.frame import Handler, back_to, fields_of, text_of

Change = Callable[[Request, Mapping[str, str]], Awaitable[None]]


def by_form(change: Change, *keys: str, page: str) -> Handler:
    """Return the handler of a form: makes the change and redirects to a page.

    Args:
        change: Makes the change, given the texts of the fields `keys`.
        keys: Names of the fields; a missing one is "".
        page: Path of the page from the root.
    """

    async def handler(request: Request) -> Response:
        form = await fields_of(request)
        await change(request, {key: text_of(form, key) for key in keys})
        return back_to(request, page)

    return handler


def by_json(change: Change, *keys: str, answer: Handler) -> Handler:
    """Return the handler of a JSON request: makes the change and answers with the new state.

    Args:
        change: Makes the change, given the texts of the members `keys`.
        keys: Names of the members; a missing one is "".
        answer: Handler of the state, the same as of GET.
    """

    async def handler(request: Request) -> Response:
        await change(request, _texts(await body_of(request), keys))
        return await answer(request)

    return handler


def _texts(body: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, str]:
    """Return the texts of a JSON object; raise HTTPException (400) for a value of another type."""
    found = {key: body.get(key, "") for key in keys}
    for key, value in found.items():
        if not isinstance(value, str):
            raise HTTPException(400, f'"{key}" is a string.')
    return found
