"""What happened in a period: its begin belongs to it, its end does not."""

from datetime import timedelta

from service.audit import AuditAction, AuditEvent
from service.records import IncidentKind


def audited(store, action=AuditAction.LOGIN):
    """Append a record."""
    return store.record_audit(AuditEvent(action=action, actor="kim"))


def test_drafts_belong_to_the_period_of_their_reading(store, clock, reviewing):
    """By model and version, with what the latest draft records of the model."""
    begin = clock()
    reviewing.drafted(store, "1.2.1")
    end = clock.move(3600)
    reviewing.drafted(store, "1.2.2")
    (use,) = store.models_used(begin, end)
    assert (use.model, use.version, use.drafts) == ("demo", "1", 1)
    assert (use.first_at, use.last_at) == (begin, begin)
    assert use.identity.name == "Tiny"
    assert store.models_used(begin, clock.move(1))[0].drafts == 2
    assert store.models_used(begin - timedelta(days=1), begin) == []


def test_incidents_and_their_alerts(store, clock):
    """An alert belongs to each period in which it was open."""
    begin = clock()
    for subject in ("a", "b"):
        store.record_incident(
            actor="t", kind=IncidentKind.DESTINATION_AWAY, subject=subject, detail="d"
        )
    store.take_incidents(lambda _, subject: subject, {})
    end = clock.move(3600)
    (count,) = store.incident_counts(begin, end)
    assert (count.kind, count.count, count.first_at) == ("destination_away", 2, begin)
    assert store.incident_counts(end, end + timedelta(days=1)) == []
    later = (end + timedelta(days=1), end + timedelta(days=2))
    assert len(store.incident_alerts_of(*later)) == 2
    for alert in store.open_incident_alerts():
        event = AuditEvent(action=AuditAction.ACKNOWLEDGED, actor="kim")
        store.acknowledge_incident_alert(alert.id, lambda _: False, event)
    assert store.incident_alerts_of(*later) == []
    assert len(store.incident_alerts_of(begin, end)) == 2


def test_stops_recalls_choices_and_versions(store, clock, reviewing):
    """A stop that lasted longer than the period belongs to it."""
    begin = clock()
    job = reviewing.drafted(store)
    store.note_version("1.0")
    store.stop_drafting("why", AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="kim"))
    middle = clock.move(3600)
    (stop,) = store.drafting_stops_of(middle, middle + timedelta(hours=1))
    assert (stop.stopped_by, stop.reason, stop.started_at) == ("kim", "why", None)
    store.start_drafting(AuditEvent(action=AuditAction.STARTED_DRAFTING, actor="lee"))
    store.use_model("other", AuditEvent(action=AuditAction.CHOSE_MODEL, actor="lee"))
    store.withdraw(job.id, "lee", "wrong")
    end = clock.move(1)
    assert store.drafting_stops_of(end, end + timedelta(hours=1)) == []
    assert [each.model for each in store.model_choices(middle, end)] == ["other"]
    assert store.model_choices(begin, middle) == []
    (recalled,) = store.recalled_drafts(begin, end)
    assert (recalled.actor, recalled.drafts, recalled.reason) == ("lee", 1, "wrong")
    assert [each.detail for each in store.recorded_changes(end)] == ["Wetread 1.0"]
    assert store.recorded_changes(begin) == []


def test_records_of_the_audit_trail_are_a_part_without_a_gap(store, clock):
    """From the first to the last record of the period."""
    audited(store)
    begin = clock.move(3600)
    numbers = [audited(store).id for _ in range(3)]
    end = clock.move(3600)
    audited(store)
    assert store.audit_range(begin, end) == (numbers[0], numbers[-1])
    assert store.audit_range(end + timedelta(days=1), end + timedelta(days=2)) is None
