"""Records in the audit trail what a request does.

A request that changes the database gives the event to the store, which appends the record in the
transaction of the change:

    here.store.retry(job_id, actor, audit=event_of(request, AuditAction.RETRIED))

What changes nothing is recorded on its own, before the answer leaves: if that fails, the answer is 503.

    await audit(request, AuditAction.VIEWED, study_uid=uid)
"""

from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.accounts import Person
from service.audit import AuditAction, AuditEvent, AuditOutcome
from service.monitoring.audit_trail import write_event
from service.web.access.current import actor_of, current_session
from service.web.access.transport import client_address
from service.web.app_context import app_context_of


def event_of(
    request: Request,
    action: AuditAction,
    *,
    detail: str = "",
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
) -> AuditEvent:
    """Return the event of a request: who, from where, did what."""
    session = current_session(request)
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor=actor_of(request),
        person_id=session.person.id if session else "",
        address=client_address(request.scope),
        detail=detail,
        claim=getattr(request.state, "claim", None),
    )


async def audit(
    request: Request,
    action: AuditAction,
    *,
    study_uid: str = "",
    job_id: str = "",
    detail: str = "",
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
) -> None:
    """Record what the person or program of a request did; the patient is that of the study.

    Raises:
        StoreUnavailable: The record could not be written.
    """
    event = replace(
        event_of(request, action, detail=detail, outcome=outcome),
        study_uid=study_uid,
        job_id=job_id,
    )
    await run_in_threadpool(write_event, app_context_of(request).store, event)


async def audit_view(request: Request, study_uid: str, job_id: str = "") -> None:
    """Record that a study was seen, once in five minutes for each person or program.

    Raises:
        StoreUnavailable: The record could not be written.
    """
    here, who = app_context_of(request), actor_of(request)
    now = here.store.now()
    if here.views.is_new(who, study_uid, now):
        await audit(request, AuditAction.VIEWED, study_uid=study_uid, job_id=job_id)
        here.views.note(who, study_uid, now)


async def audit_once(
    request: Request,
    action: AuditAction,
    detail: str,
    *,
    what: str = "",
    always: bool = False,
) -> None:
    """Record an action that a page repeats by itself, once in five minutes for each person or program.

    Args:
        request: The request.
        action: What was done.
        detail: For the record.
        what: What tells two of these actions apart, such as the words of a search; not recorded.
        always: Whether a person asks anew: recorded in any case.

    Raises:
        StoreUnavailable: The record could not be written.
    """
    here, who = app_context_of(request), actor_of(request)
    key, now = f"{action} {detail} {what}", here.store.now()
    if always or here.views.is_new(who, key, now):
        await audit(request, action, detail=detail)
        here.views.note(who, key, now)


def login_event(
    action: AuditAction,
    *,
    person: Person | None,
    address: str,
    name: str = "",
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
    detail: str = "",
) -> AuditEvent:
    """Return the event of a login or a logout; without a person the name given, as far as it is one."""
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor=person.login if person else name[:64],
        person_id=person.id if person else "",
        address=address,
        detail=detail,
    )


async def audit_refused_login(
    request: Request, *, person: Person | None, name: str = "", detail: str = ""
) -> None:
    """Record a login that was refused."""
    event = login_event(
        AuditAction.LOGIN,
        person=person,
        address=client_address(request.scope),
        name=name,
        outcome=AuditOutcome.REFUSED,
        detail=detail,
    )
    await run_in_threadpool(app_context_of(request).store.record_audit, event)
