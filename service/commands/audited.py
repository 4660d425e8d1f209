"""Records in the audit trail what a command changed."""

from service.audit import AuditAction, AuditEvent
from service.commands.opened import actor
from service.monitoring.audit_trail import write_event
from service.records import Job
from service.store import Store


def note(store: Store, action: AuditAction, *, job: Job | None = None, detail: str = "") -> None:
    """Record that the user of this machine did something.

    Raises:
        StoreUnavailable: The record could not be written.
    """
    event = AuditEvent(
        action=action,
        actor=actor(),
        study_uid=job.study_instance_uid if job else "",
        job_id=job.id if job else "",
        detail=detail,
    )
    write_event(store, event)
