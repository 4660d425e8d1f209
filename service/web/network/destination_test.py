"""`POST /destinations/{name}/test`: test whether a destination answers and can be written to."""

import threading
import time
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.audit import AuditAction
from service.checks.check import Check, Outcome, results
from service.errors import NotFound
from service.log import get_logger
from service.settings.config import Settings
from service.settings.keys.destinations import Destination
from service.web.app_context import app_context_of
from service.web.auditing import audit
from service.web.forms.frame import answer

# Timeout of each exchange; short, because a person waits for the answer.
_LONGEST_SECONDS: Final = 10.0
_KINDS: Final = {
    "orthanc": "REST API",
    "dimse": "C-ECHO and an association",
    "stow": "DICOMweb",
    "folder": "writing a file",
}
# Limits concurrent tests: each blocks a thread of the web process until its destination answers.
_RUNNING: Final = threading.BoundedSemaphore(2)

log = get_logger(__name__)


async def test_page(request: Request) -> Response:
    """Test one destination; answer with a page that shows the result."""
    here = app_context_of(request)
    await request.form(max_files=0, max_fields=2)
    section = _section(here.settings, request.path_params["name"])
    await audit(request, AuditAction.TESTED, detail=section.name)
    begun = time.monotonic()
    outcome = await run_in_threadpool(_tested, here.settings, section)
    seconds = time.monotonic() - begun
    log.info("destination_tested", destination=section.name, grade=outcome.grade.value)
    return answer(
        request,
        "destination.html",
        area="network",
        destination=section.name,
        kind=_KINDS[section.kind],
        outcome=outcome,
        seconds=seconds,
    )


def _section(settings: Settings, name: str) -> Destination:
    for each in settings.destinations:
        if each.name == name:
            timeout = min(each.timeout, _LONGEST_SECONDS)
            return each.model_copy(update={"timeout": timeout})
    raise NotFound("There is no such destination.")


def _tested(settings: Settings, section: Destination) -> Outcome:
    # Loaded here: the libraries of all destinations cost a tenth of the time in which the pages start.
    from service.checks.destinations import destination_check  # noqa: PLC0415

    if not _RUNNING.acquire(blocking=False):
        raise HTTPException(503, "Other tests are running. Try again in some seconds.")
    try:
        check: Check = destination_check(settings, section)
        return next(iter(results([check]))).outcome
    finally:
        _RUNNING.release()
