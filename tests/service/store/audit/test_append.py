"""Records of the audit trail are chained, and fit their columns."""

import threading

from service.audit import AuditAction, AuditEvent, first_fault
from service.store.audit.trail import AuditFilter
from service.study_identity import StudyIdentity
from tests.service.store.records import arrive


def append(store, event, **given):
    """Append a record in a transaction of its own."""
    with store._writing() as session:
        store._audit(session, event, **given)


def records(store):
    """Return all records, the first one first."""
    return sorted(store.audit_records(AuditFilter()), key=lambda record: record.id)


def test_each_record_continues_the_chain(store):
    """From several threads, too."""
    event = AuditEvent(action=AuditAction.VIEWED, actor="kim")
    threads = [threading.Thread(target=append, args=(store, event)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(store)
    assert [each.id for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each.previous for each in found[1:]] == [each.digest for each in found[:-1]]
    assert first_fault(found) == ""


def test_a_change_without_an_event_is_not_recorded(store):
    """As by the sweeper."""
    append(store, None)
    assert records(store) == []


def test_the_patient_of_the_study_is_added(store):
    """As far as it is known; details that are given replace those of the event."""
    arrive(store, study="1.2")
    store.record_identity(StudyIdentity(study_uid="1.2", patient_id="P1"), 1)
    event = AuditEvent(action=AuditAction.CANCELED, actor="k" * 200, detail="x" * 600)
    append(store, event, study_uid="1.2", job_id="j")
    append(store, event, study_uid="9.9", detail="other")
    first, second = (each.event for each in records(store))
    assert (first.patient_id, first.job_id) == ("P1", "j")
    assert (len(first.actor), len(first.detail)) == (128, 500)
    assert (second.patient_id, second.detail) == ("", "other")
