"""`/monitor`: drift, its alerts and the reference period; `/monitor/acceptability`."""

from datetime import date
from importlib.resources import files
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.accounts import Role
from service.audit import AuditAction
from service.drift.reference import FEWEST_READINGS, summarized
from service.drift.rows import Category, RowKind
from service.errors import NotFound
from service.store import Store
from service.web.access.current import actor_of, has_role
from service.web.api import is_row_id
from service.web.app_context import app_context_of
from service.web.auditing import audit
from service.web.forms.frame import answer, back_to
from service.web.monitor.acceptability_view import acceptability_values, asked_of
from service.web.monitor.drift_view import drift_values

_LONGEST_PERIOD: Final = 400  # days
_AREA: Final = "monitor"


async def drift_page(request: Request) -> Response:
    """Answer with the alerts, the reference period and the charts."""
    here = app_context_of(request)
    values = await run_in_threadpool(drift_values, here.store)
    return answer(
        request,
        "monitor/drift.html",
        area=_AREA,
        acts=has_role(request, Role.ADMIN),
        **values,
    )


async def acceptability_page(request: Request) -> Response:
    """Answer with the figures of decisions and of final reports in a period."""
    here, asked = app_context_of(request), asked_of(request, app_context_of(request).settings)
    values = await run_in_threadpool(acceptability_values, here.store, asked)
    return answer(
        request,
        "monitor/acceptability.html",
        area=_AREA,
        asked=asked,
        rules=here.settings.monitor,
        **values,
    )


async def accept_reference(request: Request) -> Response:
    """Accept a reference period; the charts begin on the day after it."""
    here, form = app_context_of(request), await request.form(max_files=0, max_fields=5)
    first, last = _day(str(form.get("first", ""))), _day(str(form.get("last", "")))
    if not first <= last or (last - first).days > _LONGEST_PERIOD:
        raise HTTPException(
            400, f"The last day is not after the first, or {_LONGEST_PERIOD} later."
        )
    actor = actor_of(request)
    readings = await run_in_threadpool(_accept, here.store, first, last, actor)
    detail = f"{first} to {last}, {readings} readings"
    await audit(request, AuditAction.ACCEPTED_REFERENCE, detail=detail)
    return back_to(request, "monitor")


async def acknowledge(request: Request) -> Response:
    """Acknowledge an alert; its chart begins anew."""
    here, number = app_context_of(request), request.path_params["alert_id"]
    if not is_row_id(number):
        raise NotFound("That is not the number of an alert.")
    form = await request.form(max_files=0, max_fields=5)
    alert = await run_in_threadpool(
        here.store.acknowledge_alert, int(number), actor_of(request), str(form.get("note", ""))
    )
    await audit(request, AuditAction.ACKNOWLEDGED, detail=f"{alert.title} ({alert.id})")
    return back_to(request, "monitor")


async def chart_style(request: Request) -> Response:
    """Answer with the style sheet of the charts, which reports of evaluations hold as well."""
    del request
    style = files("service.evaluation").joinpath("templates", "chart.css").read_text("utf-8")
    return Response(style, media_type="text/css")


def _accept(store: Store, first: date, last: date, actor: str) -> int:
    rows = store.monitor_rows(first.isoformat(), last.isoformat())
    readings = sum(row.kind is RowKind.READING for row in rows)
    if readings < FEWEST_READINGS:
        raise HTTPException(
            400,
            f"The period has {readings} readings; {FEWEST_READINGS} are needed. Choose a longer one.",
        )
    models = {row.categories.get(Category.MODEL, "") for row in rows} - {""}
    summary = summarized(rows, first, last)
    store.accept_reference((first.isoformat(), last.isoformat()), summary, sorted(models), actor)
    return readings


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise HTTPException(400, "A day is written as YYYY-MM-DD.") from None
