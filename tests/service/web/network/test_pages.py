"""The page of the DICOM network, its JSON, and the pause of a destination."""

import re

import pytest

from dicom.scp.refusals import Cause, NotAccepted
from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.accounts import Role
from service.audit import AuditAction
from service.destination_backlog import Trouble
from service.records.network import EndedAssociations
from service.store.audit.trail import AuditFilter

REASON = "the archive is being moved"


@pytest.fixture
def network(make_site, tmp_path):
    """A site with two calling AEs and two destinations."""
    return make_site(
        receiver={
            "min_free_bytes": 0,
            "callers": [
                {"ae_title": "MODALITY", "address": "10.0.0.0/24"},
                {"ae_title": "NEVER_SENT"},
            ],
        },
        destinations=[
            {"kind": "folder", "name": "orthanc", "path": tmp_path / "out"},
            {"kind": "dimse", "name": "pacs", "host": "10.1.1.1", "port": 104, "ae_title": "PACS"},
        ],
    )


def refuse(store, cause, calling_ae, sop_class_uid=""):
    """Count one refusal."""
    refused = NotAccepted(
        cause=cause, calling_ae=calling_ae, address="10.0.0.7", sop_class_uid=sop_class_uid
    )
    store.add_refusals({refused: 1})


def row_of(html, title):
    """Return the part of the page about a calling AE."""
    begin = html.index(f'id="caller-{title}"')
    return html[begin : html.index("</tr>", begin)]


def test_a_calling_ae_has_association_figures_and_refusals(network, seeder_of):
    """Also one that never sent, one that is not configured, and a peer that was only refused."""
    store, seeder = network.store, seeder_of(network)
    seeder.waiting(1)
    ended = EndedAssociations(address="10.0.0.7", at=store.now(), count=4)
    store.add_associations({"MODALITY": ended, "FORMER": ended})
    refuse(store, Cause.INSTANCE_RATE, "MODALITY", "1.2.840.10008.5.1.4.1.1.1")
    refuse(store, Cause.CALLED_AE, "MODALITY")
    refuse(store, Cause.CALLING_AE, "STRANGER")
    html = network.get("/network").text
    modality = row_of(html, "MODALITY")
    assert "only from 10.0.0.0/24" in modality
    assert "from 10.0.0.7, 4 in all" in modality
    assert modality.count("1 image, 1 study") == 2
    assert "Computed Radiography Image Storage" in modality
    assert "Instance refused (0xA700): rate limit of the calling AE" in modality
    assert "called AE title not ours" in modality
    assert "none so far" in row_of(html, "NEVER_SENT")
    assert "not in receiver.callers" in row_of(html, "FORMER")
    others = html[html.index('id="others-title"') :]
    assert "STRANGER at 10.0.0.7, once: calling AE title not accepted." in others
    assert "MODALITY" not in others
    answer = network.get("/api/network").json()
    by_title = {each["ae_title"]: each for each in answer["calling_aes"]}
    assert by_title["MODALITY"]["day_studies"] == 1
    assert by_title["NEVER_SENT"]["associated_at"] is None
    assert answer["other_refusals"] == [
        "STRANGER at 10.0.0.7, once: calling AE title not accepted."
    ]


def test_owed_commitment_reports_are_shown_at_both(network):
    """At the calling AE, and at a destination with that AE title."""
    reference = Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.1", sop_instance_uid="1.2.3")
    request = CommitmentRequest(transaction_uid="1.2.9", references=(reference,))
    network.store.owe_report(request, ae_title="PACS", host="10.1.1.1", port=104)
    answer = network.get("/api/network").json()
    pacs = next(each for each in answer["destinations"] if each["name"] == "pacs")
    assert (pacs["address"], pacs["commitments"][0]["state"]) == ("PACS at 10.1.1.1:104", "OWED")
    assert "1 owed, the oldest requested" in network.get("/network").text


def test_a_pause_is_stated_wherever_the_result_is_waited_for(network, seeder_of):
    """Page, queue, job, `/readyz`, metrics, API; audit with person and reason; then it resumes."""
    job = seeder_of(network).drafted(1)
    answer = network.post("/destinations/orthanc/pause", data={"reason": REASON})
    assert (answer.status_code, answer.headers["location"]) == (303, "../../network")
    assert network.store.claim_delivery(job.id, "w", 60, {}) is None
    assert REASON in network.get("/network").text
    queue = network.get("/").text
    assert "orthanc is paused:" in queue
    assert "an administrator resumes it on the page Network" in queue
    assert REASON in network.get(f"/studies/{job.study_instance_uid}").text
    why = network.get(f"/api/jobs/{job.id}").json()["why"]
    assert why.startswith("Waiting to be sent. Deliveries to orthanc were paused by ")
    assert why.endswith(f": {REASON}.")
    ready = network.get("/readyz").json()["destinations"]["orthanc"]
    assert (ready["state"], ready["paused"], ready["overdue"]) == ("PAUSED", True, False)
    assert REASON not in network.get("/readyz", as_="").text
    metrics = network.get("/metrics").text
    assert 'wetread_destination_paused{destination="orthanc"} 1.0' in metrics
    assert 'wetread_destination_paused{destination="pacs"} 0.0' in metrics
    again = network.post("/api/destinations/orthanc/pause", json={"reason": "again"})
    assert again.status_code == 409
    resumed = network.post("/api/destinations/orthanc/resume", json={})
    states = {each["name"]: each["state"] for each in resumed.json()["destinations"]}
    assert states["orthanc"] == "UNUSED"
    assert network.store.claim_delivery(job.id, "w", 60, {}) is not None
    found = [each.event for each in network.store.audit_records(AuditFilter())]
    changes = [each for each in found if each.action in (AuditAction.PAUSED, AuditAction.RESUMED)]
    assert [each.detail for each in changes][::-1] == [f"orthanc: {REASON}", "orthanc"]


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/destinations/orthanc/pause", {"reason": " \n"}, 400),
        ("/destinations/nowhere/pause", {"reason": REASON}, 404),
        ("/destinations/orthanc/resume", {}, 409),
    ],
)
def test_a_change_that_cannot_be_made_says_why(network, path, given, status):
    """No reason, no such destination, not paused: nothing is changed."""
    assert network.post(path, data=given).status_code == status
    assert network.post(f"/api{path}", json=given).status_code == status
    assert network.store.destination_pauses() == {}


def test_a_paused_destination_keeps_its_last_error(network, seeder_of):
    """The page shows it with its time, also of a destination that was refused before."""
    seeder = seeder_of(network)
    seeder.deliver(
        seeder.drafted(1), error="orthanc refused it: disk full", trouble=Trouble.REFUSED
    )
    network.post("/destinations/orthanc/pause", data={"reason": REASON})
    html = network.get("/network").text
    panel = html[html.index('id="destination-orthanc"') : html.index('id="destination-pacs"')]
    assert re.search(r"Last error</dt><dd><time [^>]+>[^<]+</time>: orthanc refused it", panel)
    assert "1 result, the oldest from" in panel
    assert "Next try" not in panel
    assert "Resume" in panel


def test_a_forgotten_pause_is_an_alarm(make_site):
    """On the queue's page and on the page Network, after `delivery.pause_alert_hours`."""
    site = make_site(delivery={"pause_alert_hours": 1e-9})
    site.post("/destinations/orthanc/pause", data={"reason": REASON})
    assert "orthanc is still paused:" in site.get("/").text
    assert "paused for more than 1e-09 h" in site.get("/network").text


def test_only_an_administrator_sees_the_network(network, cookie_of):
    """A radiologist and a viewer have neither the page nor its menu entry."""
    for role in (Role.RADIOLOGIST, Role.VIEWER):
        cookie = cookie_of(network.store, role, login=role.value)
        assert network.get("/network", as_=cookie).status_code == 403
        assert 'href="./network"' not in network.get("/read", as_=cookie).text
