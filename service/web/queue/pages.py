"""`/queue`: jobs by filter, and its live view."""

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from service.accounts import Role
from service.audit import AuditAction
from service.jobs import ALARMS, JobState
from service.settings.advice import cautions
from service.web.access.current import has_role
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_once
from service.web.live import LiveView
from service.web.queue.filters import QueueChoice, parse_choice
from service.web.queue.view import queue_snapshot
from service.web.render import NOTHING, Snapshot, page, root_of

# Offered in the form; a URL may hold others.
_AGES = (
    ("10m", "10 minutes"),
    ("1h", "1 hour"),
    ("4h", "4 hours"),
    ("1d", "1 day"),
    ("7d", "7 days"),
)


async def start(request: Request) -> Response:
    """Answer with the queue; lead readers to the worklist, admins who are none to the overview."""
    if not has_role(request, Role.ADMIN, Role.VIEWER):
        return RedirectResponse("read", status_code=303)
    if has_role(request, Role.ADMIN) and not has_role(request, Role.RADIOLOGIST):
        return RedirectResponse("admin", status_code=303)
    return await queue(request)


async def queue(request: Request) -> Response:
    """Answer with the queue; a search for a text, which may name a patient, is audited."""
    acts = has_role(request, Role.ADMIN)
    here, choice = app_context_of(request), _choice(request)
    await _audit_search(request, choice, always=True)
    return HTMLResponse(await run_in_threadpool(_queue_html, here, choice, acts=acts))


async def queue_live(request: Request) -> LiveView:
    """Return the view of the queue; a search is audited as on the page."""
    here, choice, acts = app_context_of(request), _choice(request), has_role(request, Role.ADMIN)
    await _audit_search(request, choice)
    key = f"{choice.key} {'acts' if acts else ''}"
    return LiveView(key, _queue_view(here, choice, acts=acts))


async def queue_parts(request: Request) -> Response:
    """Answer with every part of the queue, for a page that has no stream."""
    acts, choice = has_role(request, Role.ADMIN), _choice(request)
    await _audit_search(request, choice)
    snapshot = await run_in_threadpool(_queue_view(app_context_of(request), choice, acts=acts))
    return JSONResponse(snapshot.since(NOTHING))


def _choice(request: Request) -> QueueChoice:
    return parse_choice(request.query_params.multi_items())


async def _audit_search(request: Request, choice: QueueChoice, *, always: bool = False) -> None:
    """Record a search for a text; the live view of a page asks for the same again and again."""
    if choice.text:
        await audit_once(
            request, AuditAction.SEARCHED, "the queue", what=choice.text, always=always
        )


def _queue_view(here: AppContext, choice: QueueChoice, *, acts: bool) -> Callable[[], Snapshot]:
    def render() -> Snapshot:
        return queue_snapshot(here, choice, acts=acts)

    return render


def _queue_html(here: AppContext, choice: QueueChoice, *, acts: bool) -> str:
    snapshot = queue_snapshot(here, choice, acts=acts)
    asked = {**choice.query, **({"before": choice.before} if choice.before else {})}
    older_than, query = snapshot.older_than, choice.query
    return page(
        "queue.html",
        root=root_of("/queue"),
        area="queue",
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        snapshot=snapshot,
        choice=choice,
        acts=acts,
        states=list(JobState),
        alarms=list(ALARMS),
        ages=_ages(choice.older_than),
        destinations=_with(choice.destination, _names(here)),
        models=_with(choice.model, here.settings.readings()),
        configured=_names(here),
        readers=list(here.settings.readings()),
        callers=[each.ae_title for each in here.settings.receiver.callers],
        causes=sorted({each.cause for each in here.queue.overview().failures}),
        older_url=_url({**query, "before": older_than}) if older_than else "",
        newest_url=_url(query),
        live_url=f"./live/queue?{urlencode(asked)}",
        poll_url=f"./live/queue.json?{urlencode(asked)}",
    )


def _url(query: dict[str, str]) -> str:
    return f"./queue?{urlencode(query)}" if query else "./queue"


def _names(here: AppContext) -> Sequence[str]:
    return [each.name for each in here.settings.destinations]


def _with(chosen: str, offered: Iterable[str]) -> Sequence[str]:
    """Return what a list offers, with a chosen value that the settings no longer have."""
    return list(dict.fromkeys([*offered, *([chosen] if chosen else [])]))


def _ages(chosen: str) -> Sequence[tuple[str, str]]:
    known = chosen in {"", *(value for value, _ in _AGES)}
    return [*_AGES, *([] if known else [(chosen, chosen)])]
