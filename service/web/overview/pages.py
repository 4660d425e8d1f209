"""`/admin`: the overview, its live view, and the button that makes missing jobs."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.audit import AuditAction, AuditEvent
from service.monitoring.overview_figures import Span
from service.throughput.hours import hour_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import event_of
from service.web.forms.frame import answer, back_to
from service.web.live import LiveView
from service.web.overview.charts import parse_span
from service.web.overview.view import overview_snapshot
from service.web.render import NOTHING, Snapshot

_DETAIL: Final = "a job is made: the study had none"


async def overview_page(request: Request) -> Response:
    """Answer with the overview; `range=month` shows 30 days in place of 24 hours."""
    here, span = app_context_of(request), _span(request)
    snapshot = await run_in_threadpool(_view(here, span))
    asked = urlencode({"range": span.value})
    return answer(
        request,
        "overview.html",
        area="admin",
        snapshot=snapshot,
        span=span,
        spans=list(Span),
        live_url=f"./live/overview?{asked}",
        poll_url=f"./live/overview.json?{asked}",
    )


async def overview_live(request: Request) -> LiveView:
    """Return the live view of the overview."""
    span = _span(request)
    return LiveView(f"overview {span}", _view(app_context_of(request), span))


async def overview_parts(request: Request) -> Response:
    """Answer with every part of the overview, for a page that has no stream."""
    snapshot = await run_in_threadpool(_view(app_context_of(request), _span(request)))
    return JSONResponse(snapshot.since(NOTHING))


async def schedule_unaccounted(request: Request) -> Response:
    """Let the sweeper make the jobs of unaccounted studies; return to the overview."""
    await request.form(max_files=0, max_fields=1)
    here = app_context_of(request)
    audit = event_of(request, AuditAction.READ_AGAIN, detail=_DETAIL)
    await run_in_threadpool(_schedule, here, audit)
    return back_to(request, "admin")


def _schedule(here: AppContext, audit: AuditEvent) -> None:
    studies = here.overview.figures(Span.DAY).unaccounted
    hours = {hour_of(each.first_arrival) for each in studies}
    here.store.schedule_unaccounted(sorted(hours), audit)
    here.overview.forget()


def _span(request: Request) -> Span:
    return parse_span(request.query_params.get("range"))


def _view(here: AppContext, span: Span) -> Callable[[], Snapshot]:
    return lambda: overview_snapshot(here, span)
