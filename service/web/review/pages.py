"""`/read`, `/read/{job}`, `/mine`: the pages of a radiologist."""

from datetime import timedelta
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from service.accounts import Person, Role
from service.audit import AuditAction
from service.settings.advice import cautions
from service.web.access.current import current_person
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_once, audit_view
from service.web.render import NOTHING, page, root_of
from service.web.review.draft_view import draft_values
from service.web.review.mine_view import mine_values
from service.web.review.worklist_view import (
    WorklistChoice,
    neighbors,
    worklist_parts,
)

_LONGEST_SEARCH: Final = 100
# Older drafts without a decision are counted up to here.
_MOST_OLDER: Final = 1000


async def worklist_page(request: Request) -> Response:
    """Answer with the drafts that await a decision; a search for a patient is audited."""
    here, choice = app_context_of(request), _choice(request)
    await _audit_search(request, choice, always=True)
    return HTMLResponse(await run_in_threadpool(_worklist_html, here, choice))


async def worklist_rows(request: Request) -> Response:
    """Answer with every part of the worklist, for the page that shows it; a search is audited."""
    here, choice = app_context_of(request), _choice(request)
    await _audit_search(request, choice)
    parts = await run_in_threadpool(worklist_parts, here, choice)
    return JSONResponse(parts.snapshot.since(NOTHING))


async def draft_page(request: Request) -> Response:
    """Answer with one study, its draft and the means to decide on it."""
    here, person = app_context_of(request), current_person(request)
    job_id, amends = request.path_params["job_id"], "amend" in request.query_params
    job = await run_in_threadpool(here.store.job, job_id)
    html = await run_in_threadpool(_draft_html, here, job.id, person, amends=amends)
    await audit_view(request, job.study_instance_uid, job.id)
    return HTMLResponse(html)


async def mine_page(request: Request) -> Response:
    """Answer with the person's own decisions, agreement and disagreements."""
    here, person = app_context_of(request), current_person(request)
    return HTMLResponse(await run_in_threadpool(_mine_html, here, person))


async def _audit_search(request: Request, choice: WorklistChoice, *, always: bool = False) -> None:
    if choice.search:
        await audit_once(
            request, AuditAction.SEARCHED, "the worklist", what=choice.search, always=always
        )


def _choice(request: Request) -> WorklistChoice:
    given = request.query_params
    return WorklistChoice(
        person=current_person(request),
        search=given.get("q", "")[:_LONGEST_SEARCH].strip(),
        after=given.get("after", ""),
    )


def _worklist_html(here: AppContext, choice: WorklistChoice) -> str:
    settings = here.settings.web
    before = here.store.now() - timedelta(days=settings.worklist_days)
    parts = worklist_parts(here, choice)
    return page(
        "review/worklist.html",
        root=root_of("/read"),
        area="read",
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        snapshot=parts.snapshot,
        search=choice.search,
        others=parts.others,
        older=here.store.older_awaiting(before, most=_MOST_OLDER),
        most_older=_MOST_OLDER,
        days=settings.worklist_days,
        limit=settings.waiting_limit_minutes,
        has_viewers=bool(settings.viewers),
        poll_url=f"read/rows.json?{choice.query(choice.after)}",
    )


def _draft_html(here: AppContext, job_id: str, person: Person, *, amends: bool) -> str:
    values = draft_values(here, job_id, person, amends=amends)
    before, after = neighbors(here, values["job"].id)
    return page(
        "review/draft.html",
        root=root_of("/read/x"),
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        before=before,
        after=after,
        decides=person.has(Role.RADIOLOGIST),
        **values,
    )


def _mine_html(here: AppContext, person: Person) -> str:
    return page(
        "review/mine.html",
        root=root_of("/mine"),
        area="mine",
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        **mine_values(here.store, person),
    )
