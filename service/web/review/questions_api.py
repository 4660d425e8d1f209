"""Handlers of `/api/studies/…/questions`, `/api/jobs/…/questions`, `/api/questions` and their stream."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.audit import AuditAction, AuditEvent
from service.errors import InvalidReview, NotFound
from service.records import JobWithDraft
from service.review.conflicts import CannotAsk
from service.review.decision import Reviewer
from service.review.questions import NewQuestion, Question, QuestionKind, checked_text
from service.web.api import body_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_view, event_of
from service.web.json_api.idempotent import idempotency_key
from service.web.live import LiveView
from service.web.render import NOTHING
from service.web.review.api import newest_draft
from service.web.review.questions_view import (
    question_json,
    questions_json,
    questions_snapshot,
    unavailable,
)
from service.web.review.reviewer import reviewer_of


async def study_questions(request: Request) -> JSONResponse:
    """Answer with the questions about a study, and whether more can be asked now."""
    here, uid = app_context_of(request), _study_uid(request)

    def find() -> dict[str, Any]:
        job = here.store.job(newest_draft(here.store, uid))
        why = unavailable(here, job)
        return {
            "job_id": job.id,
            "questions": questions_json(here, here.store.questions(uid)),
            "unavailable": {kind.value: words or None for kind, words in why.items()},
        }

    answer = await run_in_threadpool(find)
    await audit_view(request, uid)
    return JSONResponse(answer)


async def ask_about_study(request: Request) -> JSONResponse:
    """Ask a question about the image of a study's newest draft."""
    here, uid = app_context_of(request), _study_uid(request)
    return await _ask(request, await run_in_threadpool(newest_draft, here.store, uid))


async def ask(request: Request) -> JSONResponse:
    """Ask a question about the image of a job's draft: 201, and 200 for a repetition of the request."""
    return await _ask(request, request.path_params["job_id"])


async def cancel(request: Request) -> JSONResponse:
    """Cancel an own question that is not answered yet."""
    await body_of(request)
    here, person = app_context_of(request), _reviewer(request)
    question_id = request.path_params["question_id"]
    event = event_of(request, AuditAction.CANCELED, detail="a question")

    def stop() -> dict[str, Any]:
        return question_json(here, here.store.cancel_question(question_id, person.id, event))

    return JSONResponse(await run_in_threadpool(stop))


async def questions_live(request: Request) -> LiveView:
    """Return the view of the questions about a job's study; raise NotFound for an unknown job."""
    here = app_context_of(request)
    job = await run_in_threadpool(here.store.job, request.path_params["job_id"])
    await audit_view(request, job.study_instance_uid, job.id)
    return LiveView(f"questions {job.id}", lambda: questions_snapshot(here, job.id))


async def questions_parts(request: Request) -> Response:
    """Answer with the part of the panel, for a page that has no stream."""
    here, job_id = app_context_of(request), request.path_params["job_id"]
    job = await run_in_threadpool(here.store.job, job_id)
    snapshot = await run_in_threadpool(questions_snapshot, here, job.id)
    await audit_view(request, job.study_instance_uid, job.id)
    return JSONResponse(snapshot.since(NOTHING))


async def _ask(request: Request, job_id: str) -> JSONResponse:
    here, body = app_context_of(request), await body_of(request)
    person, key = _reviewer(request), idempotency_key(request)
    kind = _kind(body.get("kind", QuestionKind.QUESTION.value))
    text = body.get("text", "")
    if not isinstance(text, str):
        raise InvalidReview("text: a string")

    event = event_of(request, AuditAction.ASKED, detail=kind.value)

    def store() -> tuple[bool, dict[str, Any]]:
        job = here.store.job(job_id)
        words = checked_text(kind, text, here.settings.questions.longest)
        new = NewQuestion(job_id=job.id, kind=kind, text=words, person=person, key=key)
        question, is_new = _stored(here, job, new, event)
        return is_new, question_json(here, question)

    is_new, answer = await run_in_threadpool(store)
    return JSONResponse(answer, 201 if is_new else 200)


def _stored(
    here: AppContext, job: JobWithDraft, new: NewQuestion, event: AuditEvent
) -> tuple[Question, bool]:
    """Store a question; the sweeper publishes it within its interval.

    Raises:
        CannotAsk: No question can be asked about this image now.
        ReviewConflict: As `Store.ask`.
    """
    why = unavailable(here, job)[new.kind]
    if why:
        raise CannotAsk(why)
    return here.store.ask(new, job, here.settings.questions.most_an_hour, event)


def _kind(word: object) -> QuestionKind:
    try:
        return QuestionKind(str(word))
    except ValueError:
        raise InvalidReview(f"kind: one of {', '.join(QuestionKind)}") from None


def _reviewer(request: Request) -> Reviewer:
    return reviewer_of(request, app_context_of(request).settings.site_name)


def _study_uid(request: Request) -> str:
    try:
        return check_uid(request.path_params["study_uid"], "Study Instance UID")
    except InvalidIdentifier:
        raise NotFound("That is not a Study Instance UID.") from None
