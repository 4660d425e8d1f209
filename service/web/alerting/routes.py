"""The routes of the end-to-end check and of alerts."""

from typing import Final

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import guarded
from service.web.alerting import alerts_page, probe_page

_ADMINS: Final = frozenset({Role.ADMIN})

ALERT_ROUTES: Final = (
    guarded("/alerts", alerts_page.alerts_page, roles=_ADMINS),
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
