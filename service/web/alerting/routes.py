"""The routes of the end-to-end check and of alerts."""

from typing import Final

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import Access, guarded
from service.web.alerting import alerts_page, probe_page
from service.web.live_routes import live_route

_ADMINS: Final = frozenset({Role.ADMIN})
_LIVE: Final = Access(roles=_ADMINS, counts_as_use=False)

ALERTS_LIVE: Final = live_route("/live/alerts", alerts_page.alerts_live, _LIVE)

ALERT_ROUTES: Final = (
    guarded("/alerts", alerts_page.alerts_page, roles=_ADMINS),
    guarded("/live/alerts.json", alerts_page.alerts_parts, access=_LIVE),
    guarded(
        "/alerts/{alert_id}/acknowledge",
        alerts_page.acknowledge,
        roles=_ADMINS,
        methods=("POST",),
    ),
    guarded("/api/alerts", alerts_page.alerts_json, roles=_ADMINS, scope=Scope.READ),
    guarded(
        "/api/alerts/{alert_id}/acknowledge",
        alerts_page.acknowledge_json,
        roles=_ADMINS,
        scope=Scope.ADMIN,
        methods=("POST",),
    ),
    guarded("/heartbeat", probe_page.probe_page, roles=_ADMINS),
    guarded("/heartbeat/now", probe_page.check_now, roles=_ADMINS, methods=("POST",)),
    guarded("/api/heartbeat", probe_page.probe_list, roles=_ADMINS, scope=Scope.READ),
    guarded(
        "/api/heartbeat/now",
        probe_page.check_now_json,
        roles=_ADMINS,
        scope=Scope.ADMIN,
        methods=("POST",),
    ),
)
