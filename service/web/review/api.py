"""Handlers of `/api/jobs/…/review`, `/api/jobs/…/decisions`, `/api/decisions` and `/api/notices`."""

from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.errors import NotFound
from service.records import first_to_read
from service.review.content import ReviewContent
from service.review.decision import Decision, Reviewer
from service.review.draft_sentences import draft_sentences
from service.review.figures import (
    PUBLISHED_ACCEPTABILITY,
    PUBLISHED_WORDS,
    Grouping,
    figures_json,
)
from service.store import Store
from service.web.access.current import current_session
from service.web.api import body_of, is_row_id
from service.web.app_context import app_context_of
from service.web.auditing import audit_once, audit_view, event_of
from service.web.json_api.cursors import limit_of, next_cursor, page_after
from service.web.json_api.idempotent import idempotency_key
from service.web.review.answers import (
    decisions_json,
    news_json,
    notice_json,
    review_json,
    stored_json,
)
from service.web.review.requests import (
    decision_request,
    digest_of,
    etag,
    period_of,
    time_of,
    wanted_version,
)
from service.web.review.reviewer import reviewer_of

_EXPORT: Final = "decisions, by the JSON API"


async def review(request: Request) -> JSONResponse:
    """Answer with a draft to be reviewed: sentences, findings, the stored text, who has it open."""
    return await _review(request, request.path_params["job_id"])


async def study_review(request: Request) -> JSONResponse:
    """Answer with the review of a study's newest draft."""
    here = app_context_of(request)
    try:
        uid = check_uid(request.path_params["study_uid"], "Study Instance UID")
    except InvalidIdentifier:
        raise NotFound("That is not a Study Instance UID.") from None
    job_id = await run_in_threadpool(newest_draft, here.store, uid)
    return await _review(request, job_id)


async def save_review(request: Request) -> JSONResponse:
    """Store the text under review; 412 with the other text if it changed meanwhile."""
    here, job_id = app_context_of(request), request.path_params["job_id"]
    body = await body_of(request)
    reviewer, version = _reviewer(request), wanted_version(request)
    content = ReviewContent.from_json(body)

    def save() -> dict[str, Any]:
        job = here.store.job(job_id)
        return stored_json(here.store.save_review(job.id, content, version, reviewer))

    stored = await run_in_threadpool(save)
    return JSONResponse(stored, headers={"ETag": etag(stored["version"])})


async def note_open(request: Request) -> JSONResponse:
    """Record that the person has the draft open, or with `{"open": false}` closed it.

    The answer has what the open page must show at once: who else has it open, the version of the stored
    text and its author, an obstacle, and the decision that stands.
    """
    here, job_id, body = (
        app_context_of(request),
        request.path_params["job_id"],
        await body_of(request),
    )
    reviewer, is_open = _reviewer(request), body.get("open", True)
    if not isinstance(is_open, bool):
        raise HTTPException(400, 'The body is {"open": true} or {"open": false}.')

    def note() -> dict[str, Any]:
        job = here.store.job(job_id)
        if not is_open:
            here.store.note_closed(job.id, reviewer.id)
        else:
            here.store.note_open(job.id, reviewer)
        return news_json(here.store, job)

    return JSONResponse(await run_in_threadpool(note))


async def decide(request: Request) -> JSONResponse:
    """Record a decision once: 201, and 200 for a repetition of the request."""
    here, job_id, body = (
        app_context_of(request),
        request.path_params["job_id"],
        await body_of(request),
    )
    reviewer, key = _reviewer(request), idempotency_key(request)
    event = event_of(request, AuditAction.DECIDED)
    made, is_new = await run_in_threadpool(
        _decide, here.store, job_id, body, reviewer, key=key, event=event
    )
    return JSONResponse(
        await run_in_threadpool(_decision_json, here.store, made), 201 if is_new else 200
    )


async def undo(request: Request) -> JSONResponse:
    """Undo a decision of which nothing was sent yet."""
    await body_of(request)
    here, reviewer = app_context_of(request), _reviewer(request)
    decision_id = request.path_params["decision_id"]
    event = event_of(request, AuditAction.UNDID)
    undone = await run_in_threadpool(here.store.undo, decision_id, reviewer, event)
    return JSONResponse(await run_in_threadpool(_decision_json, here.store, undone))


async def send_again(request: Request) -> JSONResponse:
    """Send a verified report again to the destinations that it has not reached."""
    await body_of(request)
    here, reviewer = app_context_of(request), _reviewer(request)
    decision_id = request.path_params["decision_id"]
    event = event_of(request, AuditAction.SENT_AGAIN, detail="verified report")

    def send() -> dict[str, Any]:
        found = here.store.decision(decision_id)
        here.store.send_report_again(found.id, reviewer.display_name, event)
        return _decision_json(here.store, found)

    return JSONResponse(await run_in_threadpool(send))


async def decision(request: Request) -> JSONResponse:
    """Answer with one decision."""
    here, decision_id = app_context_of(request), request.path_params["decision_id"]

    found = await run_in_threadpool(here.store.decision, decision_id)
    await audit_view(request, found.study_instance_uid, found.job_id)
    return JSONResponse(await run_in_threadpool(_decision_json, here.store, found))


async def decisions(request: Request) -> JSONResponse:
    """Answer with decisions, the latest first.

    Query: `since`, `until`, `reader`, `cursor`, `limit`.
    """
    here, limit = app_context_of(request), limit_of(request)
    since, until = time_of(request, "since"), time_of(request, "until")
    asked = request.query_params
    before = page_after(request)
    # The first page stands for the whole export; but a cursor can be made by hand, without it.
    await audit_once(request, AuditAction.EXPORTED, _EXPORT, always=before is None)

    def find() -> dict[str, Any]:
        found = here.store.decisions(
            since=since,
            until=until,
            reviewer_id=asked.get("reader") or None,
            before=before,
            limit=limit,
        )
        return {
            "decisions": decisions_json(here.store, found),
            "next": next_cursor(found, limit),
        }

    return JSONResponse(await run_in_threadpool(find))


async def job_decisions(request: Request) -> JSONResponse:
    """Answer with the decisions on one draft, the latest first, undone ones included."""
    here, job_id = app_context_of(request), request.path_params["job_id"]

    job = await run_in_threadpool(here.store.job, job_id)

    def find() -> dict[str, Any]:
        return {"decisions": decisions_json(here.store, here.store.decisions(job_id=job.id))}

    found = await run_in_threadpool(find)
    await audit_view(request, job.study_instance_uid, job.id)
    return JSONResponse(found)


async def figures(request: Request) -> JSONResponse:
    """Answer with the figures of decisions; query: `by`, and the period `from`, `to`.

    `since` and `until` are other names of the two. A `to` without a time includes that day.

    A radiologist who asks by reader gets the own figures only.
    """
    here, grouping = app_context_of(request), _grouping(request)
    since, until = period_of(request)
    session = current_session(request)
    sees_all = session is None or session.person.has(Role.ADMIN) or grouping is not Grouping.READER
    own = None if sees_all or session is None else session.person.id

    def find() -> list[dict[str, Any]]:
        found = here.figures.figures(grouping, since=since, until=until, reviewer_id=own)
        return [figures_json(each) for each in found]

    return JSONResponse(
        {
            "by": grouping.value,
            "groups": await run_in_threadpool(find),
            "published": {"acceptable": PUBLISHED_ACCEPTABILITY, "words": PUBLISHED_WORDS},
        }
    )


async def notices(request: Request) -> JSONResponse:
    """Answer with the notices to the person about their verified reports; query: `unseen=1`."""
    here, reviewer = app_context_of(request), _reviewer(request)
    unseen, limit = request.query_params.get("unseen") == "1", limit_of(request)

    def find() -> list[dict[str, Any]]:
        found = here.store.author_notices(reviewer.id, unseen=unseen, limit=limit)
        return [notice_json(each) for each in found]

    return JSONResponse({"notices": await run_in_threadpool(find)})


async def notice_seen(request: Request) -> JSONResponse:
    """Record that the person has read a notice."""
    await body_of(request)
    here, reviewer = app_context_of(request), _reviewer(request)
    number = request.path_params["notice_id"]
    if not is_row_id(number):
        raise NotFound("That is not the number of a notice.")
    await run_in_threadpool(here.store.notice_seen, int(number), reviewer.id)
    return JSONResponse({"seen": True})


def _grouping(request: Request) -> Grouping:
    try:
        return Grouping(request.query_params.get("by", Grouping.ALL.value))
    except ValueError:
        raise HTTPException(400, f"by: one of {', '.join(Grouping)}.") from None


def _reviewer(request: Request) -> Reviewer:
    return reviewer_of(request, app_context_of(request).settings.site_name)


async def _review(request: Request, job_id: str) -> JSONResponse:
    store = app_context_of(request).store
    found = await run_in_threadpool(review_json, store, job_id)
    job = await run_in_threadpool(store.job, job_id)
    await audit_view(request, job.study_instance_uid, job.id)
    return JSONResponse(found, headers={"ETag": etag(found["review"]["version"])})


def newest_draft(store: Store, uid: str) -> str:
    """Return the job of a study's newest draft, of those that stand if there is one.

    Raises:
        NotFound: The study has no draft.
    """
    chosen = first_to_read(store.jobs(study=uid, limit=200))
    if chosen is None:
        raise NotFound("This study has no draft.")
    return chosen.id


def _decide(
    store: Store,
    job_id: str,
    body: dict[str, Any],
    reviewer: Reviewer,
    *,
    key: str,
    event: AuditEvent,
) -> tuple[Decision, bool]:
    job = store.job(job_id)
    stored = store.review(job.id)
    drafted = draft_sentences(job.draft) if job.draft else ()
    content = stored.content if stored else ReviewContent.of_draft(drafted)
    asked = decision_request(body, content)
    is_new = not store.is_decided(reviewer.id, key)
    digest = digest_of(job.id, body)
    made = store.decide(job.id, asked, reviewer, key=key, digest=digest, audit=event)
    return made, is_new


def _decision_json(store: Store, found: Decision) -> dict[str, Any]:
    return decisions_json(store, [found])[0]
