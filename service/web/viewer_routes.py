"""What the viewer of the pages fetches: the levels of an image, and how to show them."""

from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dicom.content.report import HeatGrid
from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.errors import NotFound
from service.jobs import DraftStatus
from service.records import JobWithDraft
from service.review.draft_sentences import identified_findings
from service.web.access.roles import EVERYONE, guarded
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_view
from service.web.images.answers import level_response, shown, stored_image
from service.web.images.heat_png import heat_png


async def image_description(request: Request) -> Response:
    """Answer with the size, windows, tables, polarity and pixel spacing of an image (docs/api.md)."""
    here = app_context_of(request)
    path = await run_in_threadpool(_image_path, here, request)
    await audit_view(request, request.path_params["study_uid"])
    return JSONResponse(await shown(here.levels.description(path)))


async def image_level(request: Request) -> Response:
    """Answer with one level of an image (docs/api.md)."""
    here = app_context_of(request)
    path = await run_in_threadpool(_image_path, here, request)
    await audit_view(request, request.path_params["study_uid"])
    return await level_response(here.levels, path, request.path_params["level"])


async def heat_map(request: Request) -> Response:
    """Answer with the heat map of a draft's finding as PNG (docs/api.md)."""
    here = app_context_of(request)
    job_id, name = request.path_params["job_id"], request.path_params["finding"]
    job = await run_in_threadpool(here.store.job, job_id)
    heat = _heat_of(job, name)
    try:
        content = heat_png(heat)
    except ValueError:
        raise NotFound("The stored heat map is damaged.") from None
    await audit_view(request, job.study_instance_uid, job.id)
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})


def _heat_of(job: JobWithDraft, name: str) -> HeatGrid:
    if job.draft is None or job.draft_status is DraftStatus.WITHDRAWN:
        raise NotFound("This job has no draft that may be used.")
    for each in identified_findings(job.draft):
        if each.id == name and each.finding.heat is not None:
            return each.finding.heat
    raise NotFound("No heat map of this finding is stored.")


def _image_path(here: AppContext, request: Request) -> Path:
    study_uid, image_uid = (request.path_params[each] for each in ("study_uid", "film_uid"))
    try:
        check_uid(study_uid, "Study Instance UID")
        check_uid(image_uid, "SOP Instance UID")
    except InvalidIdentifier:
        raise NotFound("This is not a valid UID.") from None
    return stored_image(here.store, study_uid, image_uid)


_IMAGE: Final = "/studies/{study_uid}/films/{film_uid}"
VIEWER_ROUTES: Final = [
    guarded(f"{_IMAGE}/voi.json", image_description, roles=EVERYONE),
    guarded(f"{_IMAGE}/levels/{{level}}", image_level, roles=EVERYONE),
    guarded("/jobs/{job_id}/heat/{finding}.png", heat_map, roles=EVERYONE),
]
