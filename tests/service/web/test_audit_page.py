"""The audit records of requests, and the page that shows them."""

import csv
import re
from datetime import timedelta
from io import StringIO

import pytest

from dicom.identifiers import derived_uid
from service.accounts import Role
from service.audit import AuditAction, AuditEvent, AuditOutcome, first_fault
from service.errors import StoreNotWritable
from service.maintenance.study_identities import StudyIdentityReader
from service.records import Position
from service.store.audit.trail import AuditFilter
from service.web.json_api.cursors import cursor_of


def actions(site, **wanted):
    """Return the recorded actions, the oldest first."""
    found = site.store.audit_records(AuditFilter(**wanted))
    return [record.event.action for record in reversed(found)]


def test_logins_and_failures_are_recorded_with_their_address(site):
    """A wrong password names the account; an unknown name is not kept: it may be a password."""
    site.post("/login", data={"name": "ann", "password": "wrong"}, as_="")
    site.post("/login", data={"name": "hunter2 is my password", "password": "x"}, as_="")
    answer = site.post("/login", data={"name": "ann", "password": "correct horse battery"}, as_="")
    site.post("/logout", as_=answer.headers["set-cookie"].partition(";")[0])
    found = [record.event for record in reversed(site.store.audit_records(AuditFilter()))]
    assert [(each.action, each.outcome, each.actor) for each in found] == [
        (AuditAction.LOGIN, AuditOutcome.REFUSED, "ann"),
        (AuditAction.LOGIN, AuditOutcome.REFUSED, "(unknown name)"),
        (AuditAction.LOGIN, AuditOutcome.SUCCESS, "ann"),
        (AuditAction.LOGOUT, AuditOutcome.SUCCESS, "ann"),
    ]
    assert {each.address for each in found} == {"127.0.0.1"}
    assert "hunter2" not in str(found)


def test_who_saw_a_study_is_recorded_once_in_five_minutes(site, seeder, cookie_of):
    """Page, images and API are one view; another person's is another; patient and study are named."""
    job = seeder.drafted(1)
    StudyIdentityReader(site.store).record_new()
    uid = job.study_instance_uid
    for path in (f"/studies/{uid}", f"/jobs/{job.id}/film.png", f"/api/jobs/{job.id}"):
        assert site.get(path).status_code == 200
    other = cookie_of(site.store, Role.VIEWER, login="vic")
    site.get(f"/studies/{uid}", as_=other)
    found = site.store.audit_records(AuditFilter(patient_id="PHANTOM-1"))
    assert [each.event.actor for each in found] == ["vic (web page)", "ann (web page)"]
    assert {each.event.study_uid for each in found} == {uid}
    begun = site.store.now()
    site.store._clock = lambda: begun + timedelta(minutes=6)
    site.get(f"/api/studies/{uid}")
    assert len(actions(site, study_uid=uid)) == 3


def test_actions_of_pages_and_api_are_recorded(site, seeder):
    """With job and study; several at once one by one."""
    job = seeder.waiting(1)
    site.post(f"/jobs/{job.id}/urgent")
    site.post(f"/api/jobs/{job.id}/cancel", json={"reason": "twice"})
    done = seeder.completed(2)
    site.post("/jobs/again", data={"action": "resend", "jobs": f"{done.id}.COMPLETED"})
    site.post("/destinations/orthanc/test")
    assert actions(site) == [
        AuditAction.MADE_URGENT,
        AuditAction.CANCELED,
        AuditAction.SENT_AGAIN,
        AuditAction.TESTED,
    ]
    (record,) = site.store.audit_records(AuditFilter(study_uid=done.study_instance_uid))
    assert record.event.job_id == done.id
    assert first_fault(site.store.whole_audit()) == ""


def test_what_cannot_be_recorded_is_not_shown(site, seeder, monkeypatch):
    """A study's page is 503 while the trail cannot be written."""
    job = seeder.drafted(1)

    def refuse(_event):
        raise StoreNotWritable("the disk is full")

    monkeypatch.setattr(site.store, "record_audit", refuse)
    answer = site.get(f"/studies/{job.study_instance_uid}")
    assert answer.status_code == 503
    assert "PHANTOM" not in answer.text


def test_the_page_filters_by_person_patient_and_study(site, seeder, cookie_of):
    """Only admins see it; a search for a patient is itself recorded."""
    job = seeder.drafted(1)
    StudyIdentityReader(site.store).record_new()
    vic = cookie_of(site.store, Role.VIEWER, login="vic")
    site.get(f"/studies/{job.study_instance_uid}", as_=vic)
    site.get(f"/studies/{job.study_instance_uid}")
    assert site.get("/admin/audit", as_=vic).status_code == 403
    html = site.get("/admin/audit?person=vic").text
    assert "vic (web page)" in html
    assert "ann (web page)" not in html
    html = site.get("/admin/audit?patient=PHANTOM-1").text
    assert html.count("<tr>") == 3
    assert actions(site)[-1] is AuditAction.SEARCHED
    assert "No record matches" in site.get("/admin/audit?study=1.2.3").text
    assert site.get("/admin/audit?before=x").status_code == 400


def test_older_records_have_a_page_of_their_own(site):
    """A hundred on each, none twice, none missing."""
    for number in range(250):
        site.store.record_audit(
            AuditEvent(action=AuditAction.TESTED, actor="token monitor", detail=f"n{number}")
        )
    seen, path = [], "/admin/audit"
    while path:
        html = site.get(path).text
        seen += re.findall(r"<bdi>n(\d+)</bdi>", html)
        older = re.search(r'href="(\?[^"]*before=\d+)">Older', html)
        path = f"/admin/audit{older[1].replace('&amp;', '&')}" if older else ""
    assert [int(each) for each in seen] == list(range(249, -1, -1))


def test_what_matches_the_filter_is_exported_as_csv(site, cookie_of):
    """All of it, also beyond a page; no cell is a formula; the export is recorded; for admins only."""
    for number in range(250):
        event = AuditEvent(action=AuditAction.TESTED, actor="kim", detail=f"n{number}")
        site.store.record_audit(event)
    site.store.record_audit(AuditEvent(action=AuditAction.TESTED, actor="vic", detail="=1+1"))
    html = site.get("/admin/audit?person=kim").text
    link = re.search(r'href="\.\./(admin/audit\.csv\?[^"]*)"', html)[1].replace("&amp;", "&")
    answer = site.get(link)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [each["detail"] for each in rows] == [f"n{number}" for number in range(249, -1, -1)]
    assert actions(site)[-1] is AuditAction.EXPORTED
    (other,) = csv.DictReader(StringIO(site.get("/admin/audit.csv?person=vic").text))
    assert other["detail"] == "'=1+1"
    viewer = cookie_of(site.store, Role.VIEWER, login="viewer")
    assert site.get("/admin/audit.csv", as_=viewer).status_code == 403


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_hostile_texts_are_text(site, hostile):
    """In records and in the filter."""
    site.store.record_audit(
        AuditEvent(action=AuditAction.TESTED, actor=hostile, detail=hostile, patient_id=hostile)
    )
    html = site.get("/admin/audit", params={"patient": hostile}).text
    assert hostile not in html


def test_a_study_that_is_unknown_leaves_no_view(site):
    """404 shows nothing."""
    assert site.get(f"/studies/{derived_uid('nothing', 1)}").status_code == 404
    assert actions(site) == []


def test_a_search_of_the_worklist_and_an_export_of_decisions_are_recorded(site):
    """The text of the search is not kept, as it may be a name; the worklist itself is no search."""
    site.get("/read")
    site.get("/read?q=Doe")
    site.get("/api/decisions?limit=5")
    site.get("/api/decisions?limit=5&before=0")
    found = [record.event for record in reversed(site.store.audit_records(AuditFilter()))]
    assert [(each.action, each.detail) for each in found] == [
        (AuditAction.SEARCHED, "the worklist"),
        (AuditAction.EXPORTED, "decisions, by the JSON API"),
    ]


def test_an_export_by_a_cursor_made_by_hand_is_recorded(site):
    """And so is a search by the rows of the worklist alone; a page that polls is recorded once."""
    cursor = cursor_of(Position(at=site.store.now() + timedelta(days=1), id="f" * 32))
    for _ in range(2):
        assert site.get(f"/api/decisions?cursor={cursor}").status_code == 200
        assert site.get("/read/rows.json?q=Doe").status_code == 200
    assert actions(site) == [AuditAction.EXPORTED, AuditAction.SEARCHED]


@pytest.mark.parametrize(
    "path",
    [
        "live/studies/{study}.json",
        "live/questions/{job}.json",
        "api/jobs/{job}/review",
        "api/studies/{study}/review",
        "api/jobs/{job}/decisions",
        "studies/{study}/films/{image}/voi.json",
        "studies/{study}/films/{image}/levels/2",
    ],
)
def test_each_way_to_a_text_or_an_image_is_a_view(site, seeder, path):
    """Also those that pages use by script."""
    job = seeder.drafted(1)
    uid = job.study_instance_uid
    image = site.store.instances(uid)[0].sop_instance_uid
    assert site.get(path.format(job=job.id, study=uid, image=image)).status_code == 200
    assert actions(site, study_uid=uid) == [AuditAction.VIEWED]
