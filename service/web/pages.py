"""The HTML pages: a study, its images, and the forms that act on a job."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from dicom.content.output_kind import OutputKind
from dicom.identifiers import check_uid
from service.errors import NotFound
from service.jobs import DraftStatus
from service.records import Job
from service.settings.advice import cautions
from service.web.access.current import actor_of, has_role
from service.web.api import study_uid_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_view, event_of
from service.web.identity import copies, identity
from service.web.images.answers import shown, stored_image
from service.web.images.picture import THUMBNAIL_SIZE, Picture
from service.web.job_actions import AUDITED, ROLES, Details, act
from service.web.live import LiveView
from service.web.render import NOTHING, Snapshot, page, root_of
from service.web.review.patients import patient_of
from service.web.review.site_viewers import viewer_links
from service.web.study_view import study_record, study_snapshot

_STAMPS: Final = {
    DraftStatus.WITHDRAWN: "WITHDRAWN - DO NOT USE",
    DraftStatus.IN_DOUBT: "IN DOUBT - VERIFY PATIENT",
}


async def study(request: Request) -> Response:
    """Answer with a study's page."""
    uid, job_id = study_uid_of(request), request.query_params.get("job")
    here, may = app_context_of(request), _allowed(request)
    html = await run_in_threadpool(_study_html, here, uid, job_id, may)
    await audit_view(request, uid, job_id or "")
    return HTMLResponse(html)


async def study_live(request: Request) -> LiveView:
    """Return the view of a study; raise NotFound for an unknown one."""
    uid, job_id = study_uid_of(request), request.query_params.get("job")
    may = _allowed(request)
    render = _study_view(app_context_of(request), uid, job_id, may)
    await run_in_threadpool(render)
    await audit_view(request, uid, job_id or "")
    return LiveView(f"study {uid} {job_id or ''} {' '.join(sorted(may))}", render)


async def study_parts(request: Request) -> Response:
    """Answer with every part of a study's page."""
    uid, job_id = study_uid_of(request), request.query_params.get("job")
    render = _study_view(app_context_of(request), uid, job_id, _allowed(request))
    snapshot = await run_in_threadpool(render)
    await audit_view(request, uid, job_id or "")
    return JSONResponse(snapshot.since(NOTHING))


async def job_page(request: Request) -> Response:
    """Redirect to the study's page at this job."""
    job = await run_in_threadpool(app_context_of(request).store.job, request.path_params["job_id"])
    return _to_study(request, job)


async def job_image(request: Request) -> Response:
    """Answer with the image that a job read, as PNG, with the draft's findings drawn in, if any.

    `?source=1` leaves them out. Those of a withdrawn draft are drawn in only for `?withdrawn=1`, below a
    stamp that states that it is withdrawn. `?source=1&size=160` makes a thumbnail; with findings there
    is none, as its stamp could not be read.
    """
    here = app_context_of(request)
    asked = request.query_params
    picture = await run_in_threadpool(
        _job_picture,
        here,
        request.path_params["job_id"],
        only_source="source" in asked,
        also_withdrawn="withdrawn" in asked,
    )
    job = await run_in_threadpool(here.store.job, request.path_params["job_id"])
    await audit_view(request, job.study_instance_uid, job.id)
    return await _png(here, _sized(request, picture) if "source" in asked else picture)


async def study_image(request: Request) -> Response:
    """Answer with one received image as PNG; `?size=160` makes a thumbnail."""
    here = app_context_of(request)
    uid, image = study_uid_of(request), check_uid(request.path_params["film_uid"])
    path = await run_in_threadpool(stored_image, here.store, uid, image)
    await audit_view(request, uid)
    return await _png(here, _sized(request, Picture(path=path)))


def _sized(request: Request, picture: Picture) -> Picture:
    small = request.query_params.get("size") == str(THUMBNAIL_SIZE)
    return replace(picture, size=THUMBNAIL_SIZE) if small else picture


def act_page(action: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of one form: it acts, and redirects to the study."""

    async def handler(request: Request) -> Response:
        here = app_context_of(request)
        job_id = request.path_params["job_id"]
        form = await request.form(max_files=0, max_fields=5)
        details = Details(
            **{key: str(form.get(key, "")) for key in ("reason", "destination", "model")}
        )
        actor, event = actor_of(request), event_of(request, AUDITED[action])
        job = await run_in_threadpool(act, here, job_id, action, details, actor=actor, audit=event)
        return _to_study(request, job)

    return handler


def _allowed(request: Request) -> frozenset[str]:
    """Return the actions that the request's person may carry out."""
    return frozenset(action for action, roles in ROLES.items() if has_role(request, *roles))


def _study_view(
    here: AppContext, uid: str, job_id: str | None, may: frozenset[str]
) -> Callable[[], Snapshot]:
    def render() -> Snapshot:
        record = study_record(here.store, uid, job_id)
        situation = here.observer.situation()
        return study_snapshot(here.store, here.settings, situation, record, may=may)

    return render


def _study_html(here: AppContext, uid: str, job_id: str | None, may: frozenset[str]) -> str:
    record = study_record(here.store, uid, job_id)
    values, fault = identity(record.job, record.instances)
    asked = f"?{urlencode({'job': job_id})}" if job_id else ""
    return page(
        "study.html",
        root=root_of(f"/studies/{uid}"),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        snapshot=_study_view(here, uid, job_id, may)(),
        study_uid=uid,
        identity=values,
        viewers=viewer_links(here.settings.web.viewers, uid, patient_of(here.store, uid)),
        copies=copies(here.store, record.job),
        identity_fault=fault,
        live_url=f"../live/studies/{uid}{asked}",
        poll_url=f"../live/studies/{uid}.json{asked}",
    )


def _to_study(request: Request, job: Job) -> Response:
    """Return a redirect to the study's page at this job, relative to the requested address."""
    address = f"studies/{quote(job.study_instance_uid)}?{urlencode({'job': job.id})}"
    return RedirectResponse(f"{root_of(request.url.path)}{address}", status_code=303)


def _job_picture(
    here: AppContext, job_id: str, *, only_source: bool, also_withdrawn: bool
) -> Picture:
    job = here.store.job(job_id)
    overlays = [each for each in here.store.objects(job.id) if each.kind == OutputKind.OVERLAY]
    hidden = job.hides_draft
    hidden = hidden or (job.draft_status is DraftStatus.WITHDRAWN and not also_withdrawn)
    if overlays and not only_source and not hidden:
        stamp = _STAMPS.get(job.draft_status, "")
        return Picture(path=overlays[0].path, sha256=overlays[0].sha256, stamp=stamp)
    if not job.drafted_image:
        raise NotFound("No image has been read for this job.")
    return Picture(path=stored_image(here.store, job.study_instance_uid, job.drafted_image))


async def _png(here: AppContext, picture: Picture) -> Response:
    return Response(await shown(here.images.png(picture)), media_type="image/png")
