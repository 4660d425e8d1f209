"""`/heartbeat`: the end-to-end checks, and the request for one now; the same in the JSON API."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from service.audit import AuditAction
from service.monitoring.probe_health import probe_health
from service.records.probes import ProbeOutcome
from service.settings.advice import cautions
from service.web.alerting.probe_view import probe_json, stage_times
from service.web.api import body_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import event_of
from service.web.render import page, root_of

_SHOWN = 50


async def probe_page(request: Request) -> Response:
    """Answer with the page of end-to-end checks."""
    here = app_context_of(request)
    return HTMLResponse(await run_in_threadpool(_html, here, root_of(request.url.path)))


async def probe_list(request: Request) -> Response:
    """Answer with the latest checks as JSON."""
    return JSONResponse(await run_in_threadpool(_json, app_context_of(request)))


async def check_now(request: Request) -> Response:
    """Begin a check, and go back to the page."""
    await request.form(max_files=0, max_fields=1)
    await run_in_threadpool(_begin, request, app_context_of(request))
    return RedirectResponse(f"{root_of(request.url.path)}heartbeat", status_code=303)


async def check_now_json(request: Request) -> Response:
    """Begin a check; answer as `/api/heartbeat`."""
    await body_of(request)
    await run_in_threadpool(_begin, request, app_context_of(request))
    return await probe_list(request)


def _begin(request: Request, here: AppContext) -> None:
    """Begin a check, recorded in the audit trail.

    Raises:
        HTTPException: 409: checks are off, drafting is stopped, or one runs already.
    """
    if not here.settings.probe.enabled:
        raise HTTPException(409, "The end-to-end check is off: set probe.enabled = true.")
    if here.store.drafting_stop() is not None:
        raise HTTPException(409, "Drafting is stopped: a check would not end.")
    event = event_of(request, AuditAction.REQUESTED_CHECK)
    if not here.store.begin_probe(f"now {here.store.now():%Y-%m-%dT%H:%M:%S.%f}", event):
        raise HTTPException(409, "A check is running.")


def _html(here: AppContext, root: str) -> str:
    health = probe_health(here.store, here.settings)
    probes = here.store.probes(_SHOWN)
    return page(
        "probe.html",
        root=root,
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        area="alerts",
        probe=here.settings.probe,
        destinations=here.settings.probe_destinations,
        health=health,
        probes=[(each, stage_times(each)) for each in probes],
        outcomes=ProbeOutcome,
    )


def _json(here: AppContext) -> dict[str, Any]:
    health = probe_health(here.store, here.settings)
    return {
        "enabled": here.settings.probe.enabled,
        "fault": health.fault if here.settings.probe.enabled else "",
        "late": health.is_late,
        "last_success": health.passed_at.isoformat() if health.passed_at else None,
        "checks": [probe_json(each) for each in here.store.probes(_SHOWN)],
    }
