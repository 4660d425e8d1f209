"""Records in the audit trail what a request does.

    await audit(request, AuditAction.DECIDED, job_id=job.id, study_uid=uid, detail="accepted")

Call it before the answer leaves: if the record cannot be written, the request is answered 503.
"""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from service.accounts import Person
from service.audit import AuditAction, AuditEvent, AuditOutcome
from service.monitoring.audit_trail import write_event
from service.web.access.current import actor_of, current_session
from service.web.access.transport import client_address
from service.web.app_context import app_context_of


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
    session = current_session(request)
    event = AuditEvent(
        action=action,
        outcome=outcome,
        actor=actor_of(request),
        person_id=session.person.id if session else "",
        address=client_address(request.scope),
        study_uid=study_uid,
        job_id=job_id,
        detail=detail,
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


async def audit_login(
    request: Request,
    action: AuditAction,
    *,
    person: Person | None,
    name: str = "",
    outcome: AuditOutcome = AuditOutcome.SUCCESS,
    detail: str = "",
) -> None:
    """Record a login or a logout; without a person the name that was given, as far as it is one."""
    event = AuditEvent(
        action=action,
        outcome=outcome,
        actor=person.login if person else name[:64],
        person_id=person.id if person else "",
        address=client_address(request.scope),
        detail=detail,
    )
    await run_in_threadpool(app_context_of(request).store.record_audit, event)
