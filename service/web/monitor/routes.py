"""The routes of final reports, acceptability and drift."""

from typing import Final

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import EVERYONE, guarded
from service.web.monitor import final_reports, pages

_ACTING: Final = frozenset({Role.ADMIN})
_VIEWING: Final = frozenset({Role.ADMIN, Role.RADIOLOGIST})

MONITOR_ROUTES: Final = (
    guarded(
        "/api/final-reports",
        final_reports.take_reports,
        roles=_ACTING,
        scope=Scope.REPORTS,
        methods=("POST",),
    ),
    guarded("/monitor", pages.drift_page, roles=_VIEWING),
    guarded("/monitor/acceptability", pages.acceptability_page, roles=_VIEWING),
    guarded("/monitor/chart.css", pages.chart_style, roles=EVERYONE),
    guarded("/monitor/reference", pages.accept_reference, roles=_ACTING, methods=("POST",)),
    guarded(
        "/monitor/alerts/{alert_id}/acknowledge",
        pages.acknowledge,
        roles=_ACTING,
        methods=("POST",),
    ),
)
