"""`/admin/audit` and `/admin/audit.csv`: the audit trail, filtered by person, patient or study."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.audit import CSV_COLUMNS, AuditAction, AuditRecord, csv_row
from service.store.audit.trail import AuditFilter
from service.web.api import is_row_id
from service.web.app_context import app_context_of
from service.web.auditing import audit
from service.web.forms.frame import answer

_PAGE: Final = 100
_LONGEST: Final = 128


async def audit_page(request: Request) -> Response:
    """Answer with the newest records that match; a search for a patient or study is audited itself."""
    here, criteria = app_context_of(request), _filter(request)
    found = await run_in_threadpool(here.store.audit_records, criteria, _PAGE + 1)
    if criteria.patient_id or criteria.study_uid:
        await audit(
            request, AuditAction.SEARCHED, study_uid=criteria.study_uid, detail="the audit trail"
        )
    asked = _asked(criteria)
    records = found[:_PAGE]
    older = {**asked, "before": str(records[-1].id)} if len(found) > _PAGE else {}
    return answer(
        request,
        "audit.html",
        area="admin/audit",
        records=records,
        asked=asked,
        older_url=f"?{urlencode(older)}" if older else "",
        newest_url=f"?{urlencode(asked)}" if criteria.before else "",
        csv_url=f"admin/audit.csv?{urlencode(asked)}",
    )


async def audit_csv(request: Request) -> Response:
    """Answer with all records that match as CSV, the newest first; the export is audited first."""
    here, criteria = app_context_of(request), _filter(request)
    await audit(
        request, AuditAction.EXPORTED, study_uid=criteria.study_uid, detail="the audit trail"
    )
    return StreamingResponse(
        _csv_lines(here.store.matching_audit(criteria)),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="wetread-audit.csv"'},
    )


def _csv_lines(records: Iterable[AuditRecord]) -> Iterator[str]:
    yield _csv_line(CSV_COLUMNS)
    for record in records:
        yield _csv_line(csv_row(record))


def _csv_line(values: Iterable[str]) -> str:
    line = StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def _asked(criteria: AuditFilter) -> dict[str, str]:
    return {
        "person": criteria.person,
        "patient": criteria.patient_id,
        "study": criteria.study_uid,
    }


def _filter(request: Request) -> AuditFilter:
    asked = request.query_params
    texts = {key: asked.get(key, "").strip()[:_LONGEST] for key in ("person", "patient", "study")}
    before = asked.get("before", "0")
    if not is_row_id(before):
        raise HTTPException(400, "before: the number of a record.")
    return AuditFilter(
        person=texts["person"],
        patient_id=texts["patient"],
        study_uid=texts["study"],
        before=int(before),
    )
