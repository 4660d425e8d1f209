"""`/evaluations`: evaluations with their figures, documents, and the files themselves in a sandbox."""

from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from service.audit import AuditAction
from service.web.app_context import app_context_of
from service.web.auditing import audit
from service.web.evaluations.folders import document_file, documents, evaluations, report_file
from service.web.forms.frame import answer

# The files are of this program but lie in a folder that others may write: no script, no form, no
# request to anywhere, and an origin of their own. They hold their style sheet and images inline.
_SANDBOX: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


async def evaluations_page(request: Request) -> Response:
    """Answer with the list of evaluations and documents."""
    rules = app_context_of(request).settings.monitor
    found = await run_in_threadpool(evaluations, rules.evaluations)
    papers = await run_in_threadpool(documents, rules.quality_documents)
    return answer(
        request,
        "evaluations.html",
        area="monitor",
        evaluations=found,
        papers=papers,
        rules=rules,
    )


async def evaluation_report(request: Request) -> Response:
    """Answer with the report of one evaluation; it shows texts and images, so it is audited."""
    name = request.path_params["evaluation"]
    root = app_context_of(request).settings.monitor.evaluations
    path = await run_in_threadpool(report_file, root, name)
    return await _file(request, path, f"evaluation {name}")


async def quality_document(request: Request) -> Response:
    """Answer with one document of `wetread report`."""
    name, document = (request.path_params[key] for key in ("folder", "document"))
    root = app_context_of(request).settings.monitor.quality_documents
    path = await run_in_threadpool(document_file, root, name, document)
    return await _file(request, path, f"quality document {name} {document}")


async def _file(request: Request, path: Path | None, what: str) -> Response:
    if path is None:
        raise HTTPException(404, "There is no such file in the folder of the settings.")
    await audit(request, AuditAction.VIEWED, detail=what)
    return FileResponse(path, media_type="text/html", headers={"Content-Security-Policy": _SANDBOX})
