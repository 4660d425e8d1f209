"""The pages of alerts and of the end-to-end check, and the same in the JSON API."""

import re
from datetime import timedelta

import pytest

from service.accounts import Role
from service.monitoring.alert_rules import alert_subject
from service.records import IncidentKind
from service.records.probes import ProbeOutcome, ProbeStage


@pytest.fixture
def alerting(make_site):
    """A site with the end-to-end check enabled."""
    return make_site(probe={"enabled": True})


def record(store, *kinds):
    """Record an incident of each kind, and open the alerts."""
    for kind in kinds:
        store.record_incident(
            actor="sweeper", kind=kind, subject="pacs", detail="It is <b>away</b>."
        )
    store.take_incidents(alert_subject, {})


def failed(store, reason="No draft came."):
    """Record a check that failed at the reading."""
    store.begin_probe(f"slot {len(store.probes())}")
    probe = store.claim_probe("s", 60)
    store.advance_probe(probe, ProbeStage.READ)
    store.end_probe(probe, ProbeOutcome.FAILED, reason)
    store.forget_probe(probe)


def test_an_alert_is_acknowledged_by_a_person(alerting):
    """The page shows it until then; the audit trail names the person."""
    record(alerting.store, IncidentKind.CONFLICT)
    page = alerting.get("/alerts").text
    assert "An image came twice with different content" in page
    assert "It is &lt;b&gt;away&lt;/b&gt;." in page
    [alert] = alerting.get("/api/alerts").json()["open"]
    assert (alert["level"], alert["count"]) == ("warning", 1)
    answer = alerting.post(f"/alerts/{alert['id']}/acknowledge", data={})
    assert answer.status_code == 303
    found = alerting.get("/api/alerts").json()
    assert found["open"] == []
    [closed] = found["closed"]
    assert closed["acknowledged_by"]
    [record_] = [each for each in alerting.store.audit_from() if "conflict" in each.event.detail]
    assert record_.event.actor == closed["acknowledged_by"]


def test_a_command_in_an_advice_is_shown_as_one(alerting):
    """As code, without the marks around it; what a peer sent in such marks stays text."""
    store = alerting.store
    store.record_incident(
        actor="sweeper",
        kind=IncidentKind.NOTIFICATION_FAILED,
        subject="it-desk",
        detail="Answer: `wetread <b>`, `other`.",
    )
    store.take_incidents(alert_subject, {})
    page = alerting.get("/alerts").text
    assert "with <code>wetread notify test</code>." in page
    assert "Answer: <code>wetread &lt;b&gt;</code>, `other`." in page


def test_a_lasting_alert_stays_open_once_acknowledged(alerting):
    """It is closed when its cause has ended."""
    record(alerting.store, IncidentKind.DESTINATION_AWAY)
    [alert] = alerting.get("/api/alerts").json()["open"]
    found = alerting.post(f"/api/alerts/{alert['id']}/acknowledge", json={}).json()
    assert found["open"][0]["acknowledged_at"] is not None
    assert "Acknowledge<" not in alerting.get("/alerts").text
    alerting.store.recover_alert(IncidentKind.DESTINATION_AWAY, "pacs")
    assert alerting.get("/api/alerts").json()["open"] == []


def parts(site, name):
    """Return the parts of a live page."""
    return site.get(f"/live/{name}.json").json()["parts"]


def test_the_page_and_the_overview_are_updated_live(alerting):
    """The overview counts open alerts by level and names the oldest; the page loses what is closed."""
    assert "None." in parts(alerting, "overview")["alerts"]
    record(alerting.store, IncidentKind.CONFLICT)
    record(alerting.store, IncidentKind.DESTINATION_AWAY, IncidentKind.DISK_FULL)
    text = " ".join(re.sub(r"<[^>]+>", "", parts(alerting, "overview")["alerts"]).split())
    assert "2 alarms, 1 warning. The oldest: An image came twice with different content" in text
    assert 'href="./alerts"' in alerting.get("/admin").text
    listed = parts(alerting, "alerts")
    assert listed["alerts-open"].count("<form") == 3
    for each in alerting.store.open_incident_alerts():
        alerting.post(f"/alerts/{each.id}/acknowledge", data={})
    later = parts(alerting, "alerts")
    assert later["alerts-open"].count("Acknowledged by") == 2  # their causes last
    assert "An image came twice" in later["alerts-closed"]
    text = " ".join(re.sub(r"<[^>]+>", "", parts(alerting, "overview")["alerts"]).split())
    assert "2 alarms; all acknowledged." in text


@pytest.mark.parametrize("number", ["99", "x", "9" * 40, "-1"])
def test_an_alert_that_is_none_is_404(alerting, number):
    """Also an id that is no number."""
    assert alerting.post(f"/alerts/{number}/acknowledge", data={}).status_code == 404
    assert alerting.post(f"/api/alerts/{number}/acknowledge", json={}).status_code == 404


def test_a_failed_check_is_shown_everywhere(alerting):
    """Page, notices, API, /readyz with its stage and no reason, and metrics; the service is ready."""
    failed(alerting.store, "PACS at 10.0.0.9 did not answer.")
    page = alerting.get("/heartbeat").text
    assert "failed at drafting by the model: PACS at 10.0.0.9 did not answer." in page
    found = alerting.get("/api/heartbeat").json()
    assert found["checks"][0]["outcome"] == "failed"
    assert found["checks"][0]["removed"]
    ready = alerting.get("/readyz")
    check = ready.json()["end_to_end_check"]
    assert (check["ok"], check["failed_stage"], check["late"]) == (False, "read", False)
    assert "10.0.0.9" not in ready.text
    assert "end_to_end_check" not in ready.json()["faults"]
    metrics = alerting.get("/metrics").text
    assert "wetread_probe_ok 0.0" in metrics
    assert 'wetread_probe_failed_stage{stage="read"} 1.0' in metrics
    assert "The end-to-end check failed at drafting by the model:" in alerting.get("/admin").text


def test_a_person_begins_a_check_and_not_two(alerting):
    """The second request is answered 409; the audit trail has the first."""
    assert alerting.post("/heartbeat/now", data={}).status_code == 303
    again = alerting.post("/api/heartbeat/now", json={})
    assert (again.status_code, again.json()["error"]) == (409, "A check is running.")
    [probe] = alerting.store.probes()
    assert probe.outcome is ProbeOutcome.RUNNING
    details = [each.event.action.value for each in alerting.store.audit_from()]
    assert details.count("requested an end-to-end check") == 1


def test_while_checks_are_off_none_begins(make_site):
    """The page states how to enable them; no metric names them."""
    site = make_site()
    assert site.post("/heartbeat/now", data={}).status_code == 409
    assert "<code>[probe]</code>" in site.get("/heartbeat").text
    assert "wetread_probe" not in site.get("/metrics").text
    assert 'wetread_alerts{acknowledged="false",level="alarm"} 0.0' in site.get("/metrics").text


def test_only_admins_see_alerts(alerting, cookie_of):
    """A viewer and a radiologist are refused."""
    for role in (Role.VIEWER, Role.RADIOLOGIST):
        cookie = cookie_of(alerting.store, role, login=role.value)
        assert alerting.get("/alerts", as_=cookie).status_code == 403
        assert alerting.get("/api/heartbeat", as_=cookie).status_code == 403


def test_health_is_late_after_the_period_and_the_limit(alerting):
    """Also if the last check passed."""
    settings = alerting.here.settings.probe
    health = alerting.store.probe_health(settings.period, settings.limit)
    assert health.due_at - health.now == timedelta(minutes=70)
