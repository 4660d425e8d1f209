"""The routes of final reports, acceptability and drift."""

from typing import Final

from service.accounts import Role
from service.tokens import Scope
from service.web.access.roles import guarded
from service.web.monitor import final_reports

_ACTING: Final = frozenset({Role.ADMIN})

MONITOR_ROUTES: Final = (
    guarded(
        "/api/final-reports",
        final_reports.take_reports,
        roles=_ACTING,
        scope=Scope.REPORTS,
        methods=("POST",),
    ),
)
