"""The support bundle of a site in which every text holds a patient attribute: none is in the file."""

import io
import json
import zipfile

import pytest

from dicom.scp.refusals import Cause, NotAccepted
from dicom.study import Instance
from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.destination_backlog import Trouble
from service.jobs import Event
from service.records import IncidentKind, ProcessRole, ProcessStatus, StatusReport
from service.store.audit.trail import AuditFilter
from service.support.bundle import BundleRequest, support_bundle

# Name, given name, Patient ID, birth date (twice), accession number, parts of UIDs, order text.
PLANTED = ("Zwetschgenbaum", "Aurelia", "PID-83321", "19431107", "1943-11-07", "ACC9917Q")
PLANTED += ("2.25.778899001122", "cough since childhood")
TEXT = " ".join(PLANTED)
STUDY = "2.25.7788990011221"
SECRET = "hunter2-of-the-archive"  # noqa: S105 - planted, to be looked for


@pytest.fixture
def planted(make_site, seeder_of, tmp_path):
    """A site with a job, incidents, processes and a pause in which each text is planted."""
    site = make_site(
        site_name="Zwetschgenbaum",
        destinations=[
            {"kind": "folder", "name": "orthanc", "path": tmp_path / "out"},
            {
                "kind": "orthanc",
                "name": "pacs",
                "url": "http://127.0.0.1:1",
                "username": "wetread",
                "password": SECRET,
            },
        ],
    )
    store, folder = site.store, seeder_of(site).folder
    path = folder / f"{TEXT}.dcm"
    path.write_bytes(TEXT.encode())
    (site.here.settings.spool_dir / f"{TEXT}.dcm").write_bytes(TEXT.encode())
    image = Instance(
        sop_instance_uid=f"{STUDY}.1",
        sop_class_uid=f"{STUDY}.2",
        series_instance_uid=f"{STUDY}.3",
        study_instance_uid=STUDY,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=path,
        digest="a" * 64,
        size=1000,
    )
    store.add_instance(image, calling_ae="ZWETSCHGENBAUM", association_id=TEXT, eligible=True)
    job = store.schedule(STUDY, model="demo", version="1", actor=TEXT, reason=TEXT)
    held = store.claim_reading(job.id, TEXT, 60)
    seeder = seeder_of(site)
    store.draft(
        job.id, held.fence, seeder.draft_of(held), [seeder.result_object(held)], ["orthanc"]
    )
    seeder.deliver(store.job(job.id), error=TEXT, trouble=Trouble.REFUSED)
    store.note(job.id, Event.RECALL, TEXT, TEXT)
    store.cancel(job.id, TEXT, TEXT)
    store.record_incident(actor=TEXT, kind=IncidentKind.REFUSED, subject=TEXT, detail=TEXT)
    report = StatusReport(TEXT, ProcessStatus.FAILING, TEXT)
    seeder.beat(ProcessRole.SWEEPER, report=report)
    refused = NotAccepted(
        cause=Cause.SOP_CLASS, calling_ae="ZWETSCHGENBAUM", address=TEXT, sop_class_uid=STUDY
    )
    store.add_refusals({refused: 1})
    event = AuditEvent(action=AuditAction.PAUSED, actor=TEXT, detail=TEXT)
    store.pause_destination("orthanc", TEXT, event, configured=["orthanc"])
    return site, job


def entries(content):
    """Return the texts of the bundle by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def found_in(texts):
    """Return the planted values that are in one of the texts."""
    looked_for = (*PLANTED, SECRET, STUDY, "ZWETSCHGENBAUM")
    return sorted(
        {
            (name, word)
            for name, text in texts.items()
            for word in looked_for
            if word.lower() in f"{name} {text}".lower()
        }
    )


def log_lines():
    """Return log lines with planted values, and an allowed one."""
    base = {"timestamp": "2026-11-30T18:00:00Z", "level": "info", "event": "delivered"}
    lines = [
        {**base, "job_id": TEXT, "destination": TEXT, "reason": TEXT, "state": TEXT},
        {**base, "event": TEXT},
        {**base, "event": "Zwetschgenbaum"},
        {**base, "level": TEXT},
        {**base, "timestamp": TEXT},
        {**base, "attempts": TEXT, TEXT: 1, "seconds": 1.5},
    ]
    return [*map(json.dumps, lines), TEXT, json.dumps([TEXT])]


def test_no_patient_attribute_and_no_secret_is_in_the_bundle(planted):
    """Of the job, its events, incidents, processes, settings, checks and log lines."""
    site, job = planted
    request = BundleRequest(job_id=job.id, log=log_lines())
    texts = entries(support_bundle(site.store, site.here.settings, request))
    assert found_in(texts) == []
    about = json.loads(texts["job.json"])
    assert about["state"] == "CANCELED"
    assert [each["action"] for each in about["events"]][:3] == ["schedule", "claim", "draft"]
    assert about["images"][0]["transfer_syntax"] == "Explicit VR Little Endian"
    assert about["images"][0]["sop_class"].startswith("#")
    assert json.loads(texts["incidents.json"])[0]["kind"] == "refused"
    states = json.loads(texts["network.json"])["destinations"]
    assert [(each["state"], each["waiting"]) for each in states] == [("PAUSED", 0), ("UNUSED", 0)]
    assert json.loads(texts["settings.json"])["values"]["delivery.give_up_hours"] == 72.0
    assert "ok       spool:" in texts["check.txt"]
    lines = [json.loads(line) for line in texts["log.jsonl"].splitlines()]
    assert [each["event"] for each in lines] == ["delivered", "delivered"]
    assert lines[1]["seconds"] == 1.5
    assert "no patient data" in texts["README.txt"]


def test_hashes_are_those_of_the_installation(planted):
    """Equal in two bundles of one site; the key is readable by its user only."""
    site, job = planted
    first, second = (
        entries(support_bundle(site.store, site.here.settings, BundleRequest(job_id=job.id)))
        for _ in range(2)
    )
    assert first["job.json"] == second["job.json"]
    key = site.here.settings.data_dir / "support-key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    other = entries(support_bundle(site.store, site.here.settings, BundleRequest(job_id=job.id)))
    assert json.loads(other["job.json"])["study"] != json.loads(first["job.json"])["study"]


def test_the_buttons_give_the_file_and_are_audited(planted, cookie_of):
    """On the page Network and, with the job, on the study's page; for an administrator only."""
    site, job = planted
    assert "support-bundle" in site.get("/network").text
    assert "do-bundle" in site.get(f"/studies/{STUDY}").text
    answer = site.post("/support-bundle", data={"job": job.id})
    assert answer.headers["content-type"] == "application/zip"
    texts = entries(answer.content)
    assert "job.json" in texts
    assert found_in(texts) == []
    assert "job.json" not in entries(site.post("/support-bundle").content)
    assert site.post("/support-bundle", data={"job": "0" * 32}).status_code == 404
    exported = [
        each.event
        for each in site.store.audit_records(AuditFilter())
        if each.event.action is AuditAction.EXPORTED
    ]
    assert [(each.detail, each.job_id) for each in exported] == [
        ("support bundle", ""),
        ("support bundle", job.id),
    ]
    viewer = cookie_of(site.store, Role.VIEWER, login="vic")
    assert site.post("/support-bundle", as_=viewer).status_code == 403
    assert "do-bundle" not in site.get(f"/studies/{STUDY}", as_=viewer).text
