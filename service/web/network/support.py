"""`POST /support-bundle`: the support bundle as a file."""

import threading
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.audit import AuditAction
from service.log import get_logger
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit

# A bundle runs the checks, which connect to each destination.
_RUNNING: Final = threading.BoundedSemaphore(1)

log = get_logger(__name__)


async def bundle_file(request: Request) -> Response:
    """Answer with the ZIP file; the field `job` of the form adds a job."""
    here = app_context_of(request)
    form = await request.form(max_files=0, max_fields=2)
    job_id, study_uid = str(form.get("job", "")), ""
    if job_id:
        job = await run_in_threadpool(here.store.job, job_id)
        job_id, study_uid = job.id, job.study_instance_uid
    await audit(
        request,
        AuditAction.EXPORTED,
        study_uid=study_uid,
        job_id=job_id,
        detail="support bundle",
    )
    content = await run_in_threadpool(_made, here, job_id)
    log.info("support_bundle_made", job_id=job_id)
    headers = {"Content-Disposition": 'attachment; filename="wetread-support.zip"'}
    return Response(content, media_type="application/zip", headers=headers)


def _made(here: AppContext, job_id: str) -> bytes:
    # Loaded here: the checks import the libraries of all destinations, which no page needs.
    from service.support.bundle import BundleRequest, support_bundle  # noqa: PLC0415

    if not _RUNNING.acquire(blocking=False):
        raise HTTPException(503, "Another support bundle is being made. Try again in some seconds.")
    try:
        return support_bundle(here.store, here.settings, BundleRequest(job_id=job_id))
    finally:
        _RUNNING.release()
