"""The JSON API: what the pages show and do, for programs. docs/api.md describes each route."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from dicom.errors import InvalidIdentifier
from dicom.identifiers import check_uid
from service.errors import NotFound
from service.jobs import JobState
from service.store import Store
from service.web.access.current import actor_of, current_person
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit_view, event_of
from service.web.job_actions import AUDITED, Details, act
from service.web.job_json import job_in_full, jobs_json
from service.web.json_api.cursors import limit_of, next_cursor, page_after
from service.web.status.status_text import SystemStatus
from service.web.study_view import StudyRecord, study_record

_MOST_DIGITS: Final = 18  # of a 64-bit row id
_UNSTORABLE: Final = (
    "The body holds control characters that cannot be stored (NUL, or half a surrogate pair): "
    "remove them."
)


def study_uid_of(request: Request) -> str:
    """Return the Study Instance UID in the path of a request.

    Raises:
        NotFound: It is none.
    """
    try:
        return check_uid(request.path_params["study_uid"], "Study Instance UID")
    except InvalidIdentifier:
        raise NotFound("This is not a valid Study Instance UID.") from None


def is_row_id(text: str) -> bool:
    """Return whether a text is a number that can be the id of a row."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


async def jobs(request: Request) -> JSONResponse:
    """Answer with jobs, newest first; query: `state` (repeatable), `study`, `cursor`, `limit`."""
    asked = request.query_params
    states, limit = _states(asked.getlist("state")), limit_of(request)
    here, before = app_context_of(request), page_after(request)

    def find() -> dict[str, Any]:
        found = here.store.jobs(states, limit=limit, before=before, study=asked.get("study"))
        situation = here.observer.situation()
        return {
            "jobs": jobs_json(here.store, found, situation),
            "next": next_cursor(found, limit),
        }

    return JSONResponse(await run_in_threadpool(find))


async def job(request: Request) -> JSONResponse:
    """Answer with one job, its draft, deliveries, notices, objects and events."""
    here, job_id = app_context_of(request), request.path_params["job_id"]
    found = await run_in_threadpool(here.store.job, job_id)
    await audit_view(request, found.study_instance_uid, found.id)
    return JSONResponse(await run_in_threadpool(_answer, here, found.id))


async def study(request: Request) -> JSONResponse:
    """Answer with one study: its Instances and jobs, without patient attributes."""
    here = app_context_of(request)
    uid = study_uid_of(request)

    def find() -> dict[str, Any]:
        return _study_json(here.store, study_record(here.store, uid), here.observer.situation())

    answer = await run_in_threadpool(find)
    await audit_view(request, uid)
    return JSONResponse(answer)


async def me(request: Request) -> JSONResponse:
    """Answer with the person who is logged in."""
    person = current_person(request)
    return JSONResponse(
        {
            "id": person.id,
            "login": person.login,
            "display_name": person.display_name,
            "roles": sorted(person.roles),
        }
    )


def act_json(action: str) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Return the handler of one action; its body is a JSON object of strings."""

    async def handler(request: Request) -> JSONResponse:
        here, job_id = app_context_of(request), request.path_params["job_id"]
        details = details_of(await body_of(request))
        actor, event = actor_of(request), event_of(request, AUDITED[action])
        changed = await run_in_threadpool(
            act, here, job_id, action, details, actor=actor, audit=event
        )
        return JSONResponse(await run_in_threadpool(_answer, here, changed.id))

    return handler


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body.

    Only application/json is accepted: another site cannot send it without a CORS preflight.

    Raises:
        HTTPException: 400 or 415.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "Send application/json, at least {}.")
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON, or is nested too deeply.") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "The body is an object.")
    if not all(map(_can_be_stored, _texts_in(body))):
        raise HTTPException(400, _UNSTORABLE)
    return body


def _texts_in(body: dict[str, Any]) -> Iterator[str]:
    """Yield each text of a JSON value, the keys of objects included."""
    rest: list[Any] = [body]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            rest += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            rest += each


def _can_be_stored(text: str) -> bool:
    """Return whether PostgreSQL can store a text and a response can quote it."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def details_of(body: Mapping[str, Any]) -> Details:
    """Return the details of an action; raise HTTPException (400) if one is not a string."""
    fields = {key: body.get(key, "") for key in ("reason", "destination", "model")}
    for key, value in fields.items():
        if not isinstance(value, str):
            raise HTTPException(400, f'The body is an object, "{key}" a string.')
    return Details(**fields)


def _answer(here: AppContext, job_id: str) -> dict[str, Any]:
    found = here.store.job(job_id)
    return job_in_full(here.store, found, here.observer.situation())


def _study_json(store: Store, record: StudyRecord, situation: SystemStatus) -> dict[str, Any]:
    return {
        "study_instance_uid": record.uid,
        "jobs": jobs_json(store, record.jobs, situation),
        "films": [
            {
                "sop_instance_uid": each.sop_instance_uid,
                "sop_class_uid": each.sop_class_uid,
                "series_instance_uid": each.series_instance_uid,
                "transfer_syntax_uid": each.transfer_syntax_uid,
                "calling_ae": each.calling_ae,
                "received_at": each.received_at.isoformat(),
                "bytes": each.size,
                "conflict": each.conflict,
                "differs": each.differs,
            }
            for each in record.instances
        ],
    }


def _states(names: Sequence[str]) -> tuple[JobState, ...]:
    try:
        return tuple(JobState(word) for word in names)
    except ValueError:
        raise HTTPException(400, f"state: one of {', '.join(JobState)}.") from None
