"""What pages have in common: the frame of the site, and the fields of their forms."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.settings.advice import cautions
from service.web.app_context import app_context_of
from service.web.render import page, root_of

_LONGEST_FIELD: Final = 2000
_MOST_FIELDS: Final = 20

Handler = Callable[[Request], Awaitable[Response]]


def answer(
    request: Request,
    template: str,
    *,
    area: str,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> HTMLResponse:
    """Return a page of an area of the navigation."""
    here = app_context_of(request)
    html = page(
        template,
        root=root_of(request.url.path),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        area=area,
        **values,
    )
    return HTMLResponse(html, status)


def back_to(request: Request, path: str) -> Response:
    """Return the redirect to a page after a form has changed something."""
    return RedirectResponse(f"{root_of(request.url.path)}{path}", status_code=303)


async def fields_of(request: Request) -> FormData:
    """Return the fields of a form; files are refused."""
    return await request.form(max_files=0, max_fields=_MOST_FIELDS)


def text_of(form: FormData, name: str) -> str:
    """Return the text of one field, "" without it."""
    return str(form.get(name, ""))[:_LONGEST_FIELD]


def texts_of(form: FormData, name: str) -> Sequence[str]:
    """Return the values of a field that may be given several times."""
    return [str(value)[:_LONGEST_FIELD] for value in form.getlist(name)]
