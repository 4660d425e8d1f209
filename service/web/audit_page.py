"""`/admin/audit`: the audit trail, filtered by person, patient or study."""

from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.audit import AuditAction
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
    asked = {
        "person": criteria.person,
        "patient": criteria.patient_id,
        "study": criteria.study_uid,
    }
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
    )


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
