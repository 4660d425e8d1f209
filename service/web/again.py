"""Send or read several jobs again: `POST /api/jobs/resend`, `/api/jobs/reread`."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from service.log import get_logger
from service.maintenance.repeat_jobs import RepeatOrder, Result, chosen, parse_selection, run_order
from service.web.access.current import actor_of
from service.web.api import body_of, details_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import event_of
from service.web.job_actions import AUDITED, Details, cleaned

Action = Literal["resend", "reread"]
ACTIONS: Final[tuple[Action, ...]] = ("resend", "reread")

log = get_logger(__name__)


def again_json(action: Action) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Return the handler for several jobs, named by `jobs` or `select`; other keys as for one job."""

    async def handler(request: Request) -> JSONResponse:
        here, body = app_context_of(request), await body_of(request)
        order = _order(
            request, action, body.get("jobs", []), body.get("select", {}), details_of(body)
        )
        results = await run_in_threadpool(_run, here, order)
        return JSONResponse(
            {
                "done": [{"job": one.job_id, "id": one.job.id} for one in results if one.job],
                "refused": [
                    {"job": one.job_id, "error": one.refusal} for one in results if not one.job
                ],
            }
        )

    return handler


def _order(
    request: Request,
    action: Action,
    jobs: Any,  # noqa: ANN401 - unparsed
    select: Any,  # noqa: ANN401 - unparsed
    details: Details,
) -> RepeatOrder:
    if not isinstance(jobs, list) or not all(isinstance(each, str) for each in jobs):
        raise HTTPException(400, '"jobs" is a list of job ids.')
    if not isinstance(select, dict):
        raise HTTPException(400, '"select" is an object.')
    return RepeatOrder(
        action=action,
        job_ids=tuple(jobs),
        selection=parse_selection(select),
        to=details.destination,
        model=details.model,
        actor=actor_of(request),
        reason=cleaned(details.reason),
        audit=event_of(request, AUDITED[action], detail="one of several"),
    )


def _run(here: AppContext, order: RepeatOrder) -> list[Result]:
    results = list(run_order(here.store, here.settings, order, chosen(here.store, order)))
    log.info("job_actions", action=order.action, jobs=len(results))
    return results
