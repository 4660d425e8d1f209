"""Studies that nothing will read: one incident, its alert, and the metric; ended when they have jobs."""

from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from service.audit import AuditAction, AuditEvent
from service.monitoring.alert_ends import open_due_alerts
from service.records import IncidentKind
from service.settings.config import settings_of
from service.sweeper.hourly_figures import FigureUpdater
from service.web.metrics import StoreCollector
from tests.service.store.records import arrive

KIND = IncidentKind.STUDIES_UNACCOUNTED


def lose(store, study):
    """Let a study arrive whose quiet time is lost, as no function of the store does."""
    arrive(store, study=study)
    with store._writing() as session:
        lost = text("UPDATE studies SET quiet_at = NULL WHERE study_instance_uid = :uid")
        session.execute(lost, {"uid": study})


def alerts(store):
    """Return the open alerts about the balance."""
    open_due_alerts(store)
    return [each for each in store.open_incident_alerts() if each.kind == KIND]


def metric(store, tmp_path):
    """Return the value of the gauge."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, settings_of({"data_dir": str(tmp_path)})))
    lines = generate_latest(registry).decode().splitlines()
    (line,) = [each for each in lines if each.startswith("wetread_unaccounted_studies ")]
    return float(line.split()[1])


def test_unaccounted_studies_are_reported_once_and_their_end_is_noted(store, clock, tmp_path):
    """Also after a restart of the sweeper; a further study is a further incident of the same alert."""
    updater = FigureUpdater(store)
    updater.keep()
    assert alerts(store) == []
    assert metric(store, tmp_path) == 0
    lose(store, "1.2.3")
    updater.keep()
    updater.keep()
    [alert] = alerts(store)
    assert alert.count == 1
    assert alert.detail.startswith("The balance does not hold: 1 study has an image and no job")
    assert "1.2.3" not in alert.detail
    assert metric(store, tmp_path) == 1
    restarted = FigureUpdater(store)
    restarted.keep()
    lose(store, "1.2.4")
    restarted.keep()
    [alert] = alerts(store)
    assert alert.count == 2
    assert "2 studies have" in alert.detail
    event = AuditEvent(action=AuditAction.READ_AGAIN, actor="ann")
    store.schedule_unaccounted(store.unaccounted_hours(), event)
    clock.move(60)
    FigureUpdater(store).keep()
    [alert] = alerts(store)
    assert alert.recovered_at is not None
    assert metric(store, tmp_path) == 0
