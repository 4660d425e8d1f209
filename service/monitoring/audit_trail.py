"""Writes events to the audit trail with the patient of their study, and records changed settings."""

from dataclasses import replace
from typing import Final

from service.audit import AuditAction, AuditEvent
from service.settings.config import Settings
from service.settings.digests import settings_digest
from service.store import Store
from service.store.audit.trail import AuditFilter

# The actor of a change that was made in the file or the environment, by a person with write access.
_SETTINGS: Final = "configuration"


def write_event(store: Store, event: AuditEvent) -> None:
    """Append an event, with the patient ID of its study where that is known.

    Raises:
        StoreUnavailable: The record could not be written.
    """
    study_uid = event.study_uid
    if not study_uid and event.job_id:
        study_uid = store.job(event.job_id).study_instance_uid
    known = store.identity_of(study_uid) if study_uid else None
    patient_id = known.patient_id if known else ""
    store.record_audit(replace(event, study_uid=study_uid, patient_id=patient_id))


def note_settings(store: Store, settings: Settings) -> bool:
    """Record that the settings differ from those of the latest record of them; return whether they do.

    Raises:
        StoreError: The record could not be written.
    """
    detail = f"settings in force: {settings_digest(settings)[:16]}"
    latest = store.audit_records(AuditFilter(person=_SETTINGS), limit=1)
    if latest and latest[0].event.detail == detail:
        return False
    store.record_audit(
        AuditEvent(action=AuditAction.CHANGED_SETTINGS, actor=_SETTINGS, detail=detail)
    )
    return True
