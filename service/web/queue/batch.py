"""`/queue/batch`: one action on many jobs, first counted and shown, then carried out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from service.audit import AuditAction, AuditEvent
from service.jobs import JobState
from service.log import get_logger
from service.records import Job
from service.settings.advice import cautions
from service.store.operator.batches import MOST, BatchAction, BatchOrder, BatchResult
from service.web.access.current import actor_of
from service.web.app_context import AppContext, app_context_of
from service.web.auditing import audit, event_of
from service.web.job_actions import AUDITED, cleaned
from service.web.queue.counted import counted_field, parse_counted
from service.web.queue.filters import FILTERS, QueueChoice, parse_choice
from service.web.render import page, root_of

BATCH_PATH: Final = "/queue/batch"
# The states that an action on a whole filter means, if the filter names none.
_STATES: Final[Mapping[BatchAction, tuple[JobState, ...]]] = {
    BatchAction.RETRY: (JobState.FAILED,),
    BatchAction.CANCEL: (JobState.SCHEDULED, JobState.IN_PROGRESS, JobState.DRAFTED),
    BatchAction.URGENT: (JobState.SCHEDULED,),
    BatchAction.RESEND: (JobState.COMPLETED, JobState.FAILED),
}
_SHOWN: Final = 20
_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_CHOSEN: Final = "chosen"
_FIELDS: Final = frozenset({"action", "scope", "job", "jobs", "reason", "to"})

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is to be done with which jobs.

    Attributes:
        job_ids: The chosen jobs; None for all that match the filter.
        choice: The filter; the one of the list from which jobs were chosen.
    """

    action: BatchAction
    job_ids: tuple[str, ...] | None
    choice: QueueChoice

    @property
    def query(self) -> dict[str, str]:
        """Return the fields of a form that repeat the request, without the jobs."""
        scope = "filter" if self.job_ids is None else _CHOSEN
        return {"action": self.action, "scope": scope, **self.choice.query}

    def words(self) -> str:
        """Return the selection as words, without a text that may name a patient."""
        if self.job_ids is not None:
            return "chosen in the list"
        return f"filter: {self.choice.words(hides_text=True)}"


async def confirm(request: Request) -> Response:
    """Answer with the number of jobs on which a batch would act; nothing is changed."""
    here, asked = app_context_of(request), _parse(request.query_params)
    if asked.choice.text:
        await audit(request, AuditAction.SEARCHED, detail="the queue")
    jobs = await run_in_threadpool(_matching, here, asked)
    html = _page(
        request,
        "queue_batch.html",
        asked,
        jobs=jobs[:MOST],
        is_cut=len(jobs) > MOST,
        most=MOST,
        shown=_SHOWN,
        counted=counted_field(jobs[:MOST]),
        states=_STATES[asked.action] if asked.job_ids is None and not asked.choice.state else (),
        destinations=[each.name for each in here.settings.destinations],
    )
    return HTMLResponse(html)


async def run(request: Request) -> Response:
    """Act on the jobs that were counted; answer with the number done and the reasons of refusals."""
    form = await request.form(max_files=0, max_fields=20)
    fields = ImmutableMultiDict((key, str(value)) for key, value in form.multi_items())
    here, asked = app_context_of(request), _parse(fields)
    event = event_of(request, AUDITED[asked.action], detail=asked.words())
    order = _order(here, asked, fields, actor_of(request), event)
    result = await run_in_threadpool(here.store.run_batch, order)
    refused = sum(len(each) for each in result.refused.values())
    log.info("job_batch", action=asked.action, done=len(result.done), refused=refused)
    return HTMLResponse(_page(request, "queue_done.html", asked, **_outcome(result)))


def _parse(fields: ImmutableMultiDict[str, str]) -> _Request:
    """Parse the fields of a URL or a form.

    Raises:
        HTTPException: 400, with the field that is unknown or invalid.
    """
    try:
        action = BatchAction(fields.get("action", ""))
    except ValueError:
        raise HTTPException(400, f"action: one of {', '.join(BatchAction)}.") from None
    choice = parse_choice((key, value) for key, value in fields.multi_items() if key not in _FIELDS)
    choice = replace(choice, before="")
    scope = fields.get("scope", "")
    if scope not in {_CHOSEN, "filter"}:
        raise HTTPException(400, "scope: chosen or filter.")
    if scope == "filter" and not choice.query:
        raise HTTPException(
            400, f"Give a filter: at least one of {', '.join(FILTERS)}. All jobs are not changed."
        )
    return _Request(
        action=action, job_ids=_job_ids(fields) if scope == _CHOSEN else None, choice=choice
    )


def _job_ids(fields: ImmutableMultiDict[str, str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(fields.getlist("job")))
    if len(found) > MOST or not all(_JOB_ID.fullmatch(each) for each in found):
        raise HTTPException(400, f"job: at most {MOST:,} ids of jobs.")
    return found


def _matching(here: AppContext, asked: _Request) -> Sequence[Job]:
    """Return the jobs on which the batch acts, the oldest first; one more than it may hold."""
    store = here.store
    wanted = asked.choice.job_filter(store.now())
    if asked.job_ids is not None:
        return store.jobs_of(asked.job_ids)
    if not wanted.states and wanted.status is None:
        wanted = replace(wanted, states=_STATES[asked.action])
    return store.list_jobs(wanted, limit=MOST + 1, oldest_first=True)


def _order(
    here: AppContext,
    asked: _Request,
    fields: Mapping[str, str],
    actor: str,
    event: AuditEvent,
) -> BatchOrder:
    to = fields.get("to", "")
    known = [each.name for each in here.settings.destinations]
    if to and to not in known:
        raise HTTPException(400, f"to: one of the destinations {', '.join(known) or '(none)'}.")
    return BatchOrder(
        action=asked.action,
        jobs=parse_counted(fields.get("jobs", "")),
        to=to,
        actor=actor,
        reason=cleaned(fields.get("reason", "")),
        audit=event,
    )


def _outcome(result: BatchResult) -> dict[str, object]:
    groups = sorted(result.refused.items(), key=lambda group: (-len(group[1]), group[0]))
    return {
        "done": len(result.done),
        "refused": [(reason, len(ids), ids[:_SHOWN]) for reason, ids in groups],
    }


def _page(request: Request, name: str, asked: _Request, **values: object) -> str:
    here, query = app_context_of(request), asked.choice.query
    return page(
        name,
        root=root_of(BATCH_PATH),
        area="queue",
        site_name=here.settings.site_name,
        cautions=cautions(here.settings),
        action=asked.action,
        asked=asked,
        back=f"queue?{urlencode(query)}" if query else "queue",
        **values,
    )
