"""`POST /api/final-reports`: the reporting system sends final reports."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.audit import AuditAction
from service.final_reports.fields import FieldFault, PreliminaryReport, column_of, report_of
from service.final_reports.report import FinalReport, FinalSource
from service.web.api import body_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit

_MOST: Final = 100


async def take_reports(request: Request) -> JSONResponse:
    """Take reports: 200 with the state of each; 400 with every fault, and none is taken."""
    here, given = app_context_of(request), _reports_of(await body_of(request))
    reports, faults = _checked(given)
    if faults:
        raise HTTPException(400, " ".join(faults))
    states = await run_in_threadpool(_take, here, reports)
    used = sum(report is not None for report in reports)
    await audit(request, AuditAction.IMPORTED, detail=f"{used} final reports")
    return JSONResponse({"reports": states})


def _reports_of(body: Mapping[str, Any]) -> list[Any]:
    given = body.get("reports")
    if not isinstance(given, list) or not 0 < len(given) <= _MOST:
        raise HTTPException(400, f'Send {{"reports": [...]}} with 1 to {_MOST} reports.')
    return given


def _checked(given: list[Any]) -> tuple[list[FinalReport | None], list[str]]:
    """Return the reports, None for a preliminary one, and what is wrong with the others."""
    reports: list[FinalReport | None] = []
    faults: list[str] = []
    for number, each in enumerate(given):
        try:
            reports.append(report_of(_fields(each), FinalSource.API))
        except PreliminaryReport:
            reports.append(None)
        except FieldFault as fault:
            faults.append(f"reports[{number}], {fault}.")
    return reports, faults


def _fields(each: Any) -> dict[str, str]:  # noqa: ANN401 - any JSON
    if not isinstance(each, dict):
        raise FieldFault("reports", "must hold objects with the columns as names")
    fields: dict[str, str] = {}
    for name, value in each.items():
        column = column_of(name)
        if not column or value is None:
            continue
        if not isinstance(value, str):
            raise FieldFault(column, "must be a text")
        if column in fields:
            raise FieldFault(column, "is given twice under two names: remove one")
        fields[column] = value
    return fields


def _take(here: AppContext, reports: list[FinalReport | None]) -> list[dict[str, Any]]:
    rules, states = here.settings.final_reports.taking, list[dict[str, Any]]()
    for report in reports:
        if report is None:
            states.append({"state": "preliminary, not used", "new": False})
            continue
        taken = here.store.take_final_report(report, rules)
        states.append({"state": taken.state.value, "new": taken.is_new})
    return states
