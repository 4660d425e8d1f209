"""`/live/reviews/{job}`: what other persons do with a draft, for the pages that show it."""

from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.store import Store
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_view
from service.web.live import LiveView
from service.web.render import NOTHING, Snapshot, part
from service.web.review.answers import news_json


async def review_live(request: Request) -> LiveView:
    """Return the view of who has a job's draft open and stored its text.

    Raises:
        NotFound: There is no such job.
    """
    here = app_context_of(request)
    job = await run_in_threadpool(here.store.job, request.path_params["job_id"])
    await audit_view(request, job.study_instance_uid, job.id)
    return LiveView(f"review {job.id}", lambda: _snapshot(here, job.id))


async def review_parts(request: Request) -> Response:
    """Answer with the same, for a page that has no stream."""
    view = await review_live(request)
    snapshot = await run_in_threadpool(view.render)
    return JSONResponse(snapshot.since(NOTHING))


def _snapshot(here: AppContext, job_id: str) -> Snapshot:
    return Snapshot(parts={"review-news": part("review_news", news=_news(here.store, job_id))})


def _news(store: Store, job_id: str) -> dict[str, Any]:
    """Return what changed, with times of the site's clock; equal while nothing changes."""
    job = store.job(job_id)
    stored = store.review(job.id)
    news = news_json(store, job)
    opened = [
        {"id": each.reviewer_id, "name": each.name, "clock": _clock(each.seen_at)}
        for each in store.open_reviews([job.id]).get(job.id, [])
    ]
    return {**news, "open": opened, "stored": _clock(stored.at) if stored else ""}


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M}"
