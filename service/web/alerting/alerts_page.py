"""`/alerts`: open alerts, their acknowledgment, the messages about them; the same in the API."""

from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from service.audit import AuditAction
from service.errors import NotFound
from service.monitoring.alert_rules import rule_of
from service.records.alerts import IncidentAlert, Notification
from service.settings.advice import cautions
from service.web.alerting.view import SHOWN, alerts_snapshot
from service.web.api import body_of, is_row_id
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import event_of
from service.web.live import LiveView
from service.web.render import NOTHING, page, root_of


async def alerts_page(request: Request) -> Response:
    """Answer with the page of alerts."""
    here = app_context_of(request)
    return HTMLResponse(await run_in_threadpool(_html, here, root_of(request.url.path)))


async def alerts_live(request: Request) -> LiveView:
    """Return the live view of the alerts."""
    return LiveView("alerts", partial(alerts_snapshot, app_context_of(request)))


async def alerts_parts(request: Request) -> Response:
    """Answer with every part of the page, for a page that has no stream."""
    snapshot = await run_in_threadpool(alerts_snapshot, app_context_of(request))
    return JSONResponse(snapshot.since(NOTHING))


async def acknowledge(request: Request) -> Response:
    """Acknowledge an alert, and go back to the page."""
    await request.form(max_files=0, max_fields=1)
    await run_in_threadpool(_acknowledge, request)
    return RedirectResponse(f"{root_of(request.url.path)}alerts", status_code=303)


async def alerts_json(request: Request) -> Response:
    """Answer with the open alerts, the latest closed ones and the latest messages as JSON."""
    return JSONResponse(await run_in_threadpool(_json, app_context_of(request)))


async def acknowledge_json(request: Request) -> Response:
    """Acknowledge an alert; answer as `/api/alerts`."""
    await body_of(request)
    await run_in_threadpool(_acknowledge, request)
    return await alerts_json(request)


def _acknowledge(request: Request) -> None:
    """Acknowledge the alert that the path names, recorded in the audit trail.

    Raises:
        NotFound: There is no such alert.
    """
    number = request.path_params["alert_id"]
    if not is_row_id(number):
        raise NotFound("That is not the number of an alert.")
    event = event_of(request, AuditAction.ACKNOWLEDGED)
    store = app_context_of(request).store
    store.acknowledge_incident_alert(int(number), lambda kind: rule_of(kind).recovers, event)


def _html(here: AppContext, root: str) -> str:
    return page(
        "alerts.html",
        root=root,
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        area="alerts",
        snapshot=alerts_snapshot(here),
        live_url="./live/alerts",
        poll_url="./live/alerts.json",
    )


def _json(here: AppContext) -> dict[str, Any]:
    store = here.store
    return {
        "open": [_alert_json(each) for each in store.open_incident_alerts()],
        "closed": [_alert_json(each) for each in store.closed_incident_alerts(SHOWN)],
        "messages": [_message_json(each) for each in store.notifications(SHOWN)],
    }


def _alert_json(alert: IncidentAlert) -> dict[str, Any]:
    times = ("opened_at", "last_at", "recovered_at", "acknowledged_at", "closed_at")
    at = {name: getattr(alert, name) for name in times}
    return {
        "id": alert.id,
        "kind": alert.kind,
        "level": rule_of(alert.kind).level.word,
        "subject": alert.subject,
        "detail": alert.detail,
        "count": alert.count,
        "acknowledged_by": alert.acknowledged_by,
        **{name: value.isoformat() if value else None for name, value in at.items()},
    }


def _message_json(message: Notification) -> dict[str, Any]:
    return {
        "alert": message.alert_id,
        "target": message.target,
        "event": message.event.value,
        "outcome": message.outcome.value,
        "attempts": message.attempts,
        "error": message.last_error,
        "created_at": message.created_at.isoformat(),
        "ended_at": message.ended_at.isoformat() if message.ended_at else None,
    }
