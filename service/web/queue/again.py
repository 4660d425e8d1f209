"""`/jobs/again`: send or read several jobs again, first counted and shown, then carried out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.errors import SelectionError
from service.jobs import JobState
from service.log import get_logger
from service.maintenance.repeat_jobs import (
    READ,
    SENT,
    RepeatOrder,
    Result,
    parse_selection,
    run_order,
)
from service.monitoring.state_names import state_word
from service.records import Job
from service.store.operator.batches import MOST
from service.web.access.current import actor_of
from service.web.again import ACTIONS, Action
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import event_of
from service.web.forms.frame import answer
from service.web.job_actions import AUDITED, cleaned
from service.web.queue.counted import counted_field, parse_counted

AGAIN_PATH: Final = "/jobs/again"
_CONDITIONS: Final = ("state", "since", "until", "destination", "study", "model")
# Fields that the confirmation page passes on.
_DETAILS: Final = ("to", "read_by", "reason")
_SHOWN: Final = 20
_MOST_REFUSED: Final = 100

log = get_logger(__name__)


async def confirm(request: Request) -> Response:
    """Answer with the jobs that would be sent or read again, at most 1,000; nothing is changed."""
    here, fields = app_context_of(request), dict(request.query_params)
    action = _action(fields)
    jobs = await run_in_threadpool(_matching, here, action, fields)
    return answer(
        request,
        "again_confirm.html",
        area="queue",
        action=action,
        jobs=jobs[:MOST],
        is_cut=len(jobs) > MOST,
        most=MOST,
        shown=_SHOWN,
        counted=counted_field(jobs[:MOST]),
        conditions=[(key, fields[key]) for key in _CONDITIONS if fields.get(key)],
        details={key: fields.get(key, "") for key in _DETAILS},
        destinations=[each.name for each in here.settings.destinations],
        readers=list(here.settings.readings()),
    )


async def run(request: Request) -> Response:
    """Send or read again the jobs that were counted; answer with the number done and the refusals."""
    here = app_context_of(request)
    form = await request.form(max_files=0, max_fields=12)
    fields = {key: str(value) for key, value in form.items()}
    action, counted = _action(fields), parse_counted(fields.get("jobs", ""))
    order = RepeatOrder(
        action=action,
        job_ids=[job_id for job_id, _ in counted],
        to=fields.get("to", ""),
        model=fields.get("read_by", ""),
        actor=actor_of(request),
        reason=cleaned(fields.get("reason", "")),
        audit=event_of(request, AUDITED[action], detail=f"one of {len(counted)} that were counted"),
    )
    results = await run_in_threadpool(_run, here, order, counted)
    refused = [one for one in results if not one.job]
    return answer(
        request,
        "again.html",
        area="queue",
        action=action,
        done=len(results) - len(refused),
        refused=refused[:_MOST_REFUSED],
        more=max(0, len(refused) - _MOST_REFUSED),
    )


def _action(fields: Mapping[str, str]) -> Action:
    for action in ACTIONS:
        if fields.get("action") == action:
            return action
    raise HTTPException(400, f"action: one of {', '.join(ACTIONS)}.")


def _matching(here: AppContext, action: Action, fields: Mapping[str, str]) -> Sequence[Job]:
    """Return the jobs that match the conditions, the oldest first; one more than the page may hold.

    Raises:
        SelectionError: There is no condition, or an invalid one.
    """
    selection = parse_selection({key: fields.get(key, "") for key in _CONDITIONS})
    if selection.is_empty:
        raise SelectionError("give a condition: state, since, until, destination, …")
    states = selection.states or (SENT if action == "resend" else READ)
    return here.store.matching(replace(selection, states=states), limit=MOST + 1)


def _run(
    here: AppContext, order: RepeatOrder, counted: Iterable[tuple[str, JobState]]
) -> list[Result]:
    now = {job.id: job.state for job in here.store.jobs_of(order.job_ids)}
    changed = [
        Result(job_id=job_id, refusal=_changed(state, now[job_id]))
        for job_id, state in counted
        if now.get(job_id, state) is not state
    ]
    left = {each.job_id for each in changed}
    ids = [job_id for job_id in order.job_ids if job_id not in left]
    results = [*changed, *run_order(here.store, here.settings, order, ids)]
    log.info("job_actions", action=order.action, jobs=len(results))
    return results


def _changed(counted: JobState, now: JobState) -> str:
    return f"its state changed from {state_word(counted)} to {state_word(now)} after it was counted"
