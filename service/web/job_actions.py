"""The actions on a job, for the pages and the JSON API."""

from dataclasses import dataclass
from typing import Final

from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.errors import NotFound
from service.log import get_logger
from service.maintenance.repeat_jobs import reread, resend
from service.records import Job
from service.web.app_context import AppContext

_ADMINS: Final = frozenset({Role.ADMIN})
# The roles that may carry out each action; a radiologist may have a study read sooner.
ROLES: Final = {
    "retry": _ADMINS,
    "cancel": _ADMINS,
    "urgent": frozenset({Role.ADMIN, Role.RADIOLOGIST}),
    "resend": _ADMINS,
    "reread": _ADMINS,
}
ACTIONS: Final = tuple(ROLES)
AUDITED: Final = {
    "retry": AuditAction.RETRIED,
    "cancel": AuditAction.CANCELED,
    "urgent": AuditAction.MADE_URGENT,
    "resend": AuditAction.SENT_AGAIN,
    "reread": AuditAction.READ_AGAIN,
}
_REASON_LENGTH: Final = 200

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Optional details of an action.

    Attributes:
        reason: The reason that the user gave; kept in the job's history.
        destination: The only destination of a "resend"; all when "".
        model: The model of a "reread"; the job's own when "".
    """

    reason: str = ""
    destination: str = ""
    model: str = ""


def act(
    here: AppContext,
    job_id: str,
    action: str,
    details: Details | None = None,
    *,
    actor: str,
    audit: AuditEvent,
) -> Job:
    """Carry out an action; the sweeper publishes the job within its interval where needed.

    Args:
        here: The shared objects of this process.
        job_id: The job.
        action: One of `ACTIONS`.
        details: Details of the action.
        actor: The name for the history.
        audit: The record for the audit trail, in the same transaction.

    Returns:
        The changed job; after "reread" the new one.

    Raises:
        NotFound: There is no such job, action, destination or model.
        IllegalTransition: The job's state does not allow it.
    """
    given = details or Details()
    reason = cleaned(given.reason)
    if action == "cancel":
        job = here.store.cancel(job_id, actor, reason, audit)
    elif action == "retry":
        job = here.store.retry(job_id, actor, audit)
    elif action == "urgent":
        job = here.store.make_urgent(job_id, actor, audit)
    elif action == "resend":
        to = given.destination
        job = resend(
            here.store, here.settings, job_id, to=to, actor=actor, reason=reason, audit=audit
        )
    elif action == "reread":
        model = given.model
        job = reread(
            here.store,
            here.settings,
            job_id,
            model=model,
            actor=actor,
            reason=reason,
            audit=audit,
        )
    else:
        raise NotFound("There is no such action.")
    log.info("job_action", action=action, job_id=job.id, state=job.state.value)
    return job


def cleaned(reason: str) -> str:
    """Return `reason` as one line of printable characters, at most 200."""
    printable = "".join(each if each.isprintable() else " " for each in reason)
    return " ".join(printable.split())[:_REASON_LENGTH]
