"""Records in the audit trail what a command changed."""

from service.audit import AuditAction, AuditEvent
from service.commands.opened import actor
from service.store import Store


def event(action: AuditAction, detail: str = "") -> AuditEvent:
    """Return what the user of this machine did, for a change that the store records with it."""
    return AuditEvent(action=action, actor=actor(), detail=detail)


def note(store: Store, action: AuditAction, *, detail: str = "") -> None:
    """Record what changes nothing here, before it is done.

    Raises:
        StoreUnavailable: The record could not be written.
    """
    store.record_audit(event(action, detail))
