"""Rows of a period, the reference in force, charts and alerts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.audit import AuditAction, AuditEvent
from service.drift.alert import DriftAlert
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import Level
from service.drift.summary import ReferenceSummary
from service.errors import NotFound

SUMMARY = ReferenceSummary(days=30, readings=100, streams={})


def row(store, number=1, day="2026-03-01"):
    """Return a row of a reading."""
    return MonitorRow(
        kind=RowKind.READING,
        source_id=str(number),
        job_id=str(number),
        study_uid="1.2",
        at=store.now(),
        day=day,
        categories={Category.VIEW: "PA"},
        events={"drafted": True},
        numbers={"seconds": 1.5},
    )


def alert(store, chart="c1"):
    """Return an alert."""
    return DriftAlert(
        chart=chart,
        title="Share of PA",
        level=next(iter(Level)),
        words="It rose.",
        first=store.now(),
        last=store.now(),
        n=40,
        subgroup="",
        changes=("The settings changed.",),
        cases=("a", "b"),
        opened_at=store.now(),
    )


def test_rows_are_returned_by_day(store, clock):
    """Both days included; a row of the same source replaces the earlier one."""
    store.record_monitor_rows([row(store)])
    clock.move(86_400)
    store.record_monitor_rows([row(store, 2, "2026-03-02"), row(store, 3, "2026-03-02")])
    assert [each.source_id for each in store.monitor_rows("2026-03-01", "2026-03-01")] == ["1"]
    assert len(store.monitor_rows("2026-03-02")) == 2
    assert store.monitor_days("2026-03-01") == [
        ("2026-03-01", "reading", 1),
        ("2026-03-02", "reading", 2),
    ]
    assert store.newest_monitor_row() == (3, clock())
    store.record_monitor_rows([replace(row(store, 2, "2026-03-02"), numbers={})])
    (first, *_) = store.monitor_rows("2026-03-01")
    assert first.categories == {Category.VIEW: "PA"}
    assert store.newest_monitor_row()[0] == 3


def test_the_reference_in_force_is_the_latest(store):
    """A new one removes the charts of the earlier one."""
    assert store.drift_reference() is None
    store.accept_reference(("2026-01-01", "2026-01-30"), SUMMARY, ["m"], "kim")
    store.store_charts([("b", {"x": 1}), ("a", {"x": 2})])
    assert [each.name for each in store.drift_charts()] == ["b", "a"]
    made = store.accept_reference(("2026-02-01", "2026-02-28"), SUMMARY, ["m", "n"], "lee")
    found = store.drift_reference()
    assert found == made
    assert (found.first_day, found.models, found.summary) == ("2026-02-01", ("m", "n"), SUMMARY)
    assert store.drift_charts() == []


def test_a_chart_has_one_open_alert(store, clock):
    """After it was acknowledged the chart begins anew; a second time changes nothing."""
    reference = store.accept_reference(("2026-01-01", "2026-01-30"), SUMMARY, [], "kim").id
    assert store.open_alert(alert(store), reference)
    assert not store.open_alert(alert(store), reference)
    (found,) = store.drift_alerts(only_open=True)
    assert found == replace(alert(store), id=found.id)
    clock.move(60)
    done = store.acknowledge_alert(found.id, "kim", "  new device  ")
    assert (done.acknowledged_at, done.note) == (clock(), "new device")
    assert store.acknowledge_alert(found.id, "lee", "late").acknowledged_by == "kim"
    assert store.chart_starts(reference) == {"c1": clock()}
    assert store.drift_alerts(only_open=True) == []
    with pytest.raises(NotFound):
        store.acknowledge_alert(999, "kim", "")


def test_changes_of_the_settings_are_those_of_the_trail(store, clock):
    """Since a time."""
    event = AuditEvent(action=AuditAction.CHANGED_SETTINGS, actor="start")
    with store._writing() as session:
        store._audit(session, event)
    assert store.settings_changes(clock()) == [clock()]
    assert store.settings_changes(clock() + timedelta(seconds=1)) == []
