"""`POST /api/final-reports`."""

from service.final_reports.report import FinalState
from service.study_identity import StudyIdentity
from service.tokens import Scope, mint


def test_the_reporting_system_sends_reports(site, seeder):
    """With its scope only; all faults at once and nothing taken; a text waits for the labeler."""
    job = seeder.drafted(1)
    site.store.record_identity(
        StudyIdentity(study_uid=job.study_instance_uid, accession_number="A1"), 1
    )
    value, credential = mint()
    site.store.add_token(
        credential,
        name="ris",
        scopes=frozenset({Scope.REPORTS}),
        ae_title="",
        expires_at=None,
        actor="test",
    )
    token = {"Authorization": f"Bearer {value}"}

    def sent(*reports):
        return site.post(
            "/api/final-reports", json={"reports": list(reports)}, headers=token, as_=""
        )

    good = {"accession_number": "A1", "report": "The heart is enlarged."}
    assert site.get("/api/jobs", headers=token, as_="").status_code == 403
    faulty = sent(good, {"accession": "A2"}, {"report": "x", "study_uid": "y"}, 7)
    assert faulty.status_code == 400
    for fault in ("reports[1], column report", "reports[2], column study_uid", "reports[3], "):
        assert fault in faulty.json()["error"]
    assert site.store.final_reports() == []
    answer = sent(good, {**good, "status": "preliminary"})
    assert answer.json() == {
        "reports": [
            {"state": "unlabeled", "new": True},
            {"state": "preliminary, not used", "new": False},
        ]
    }
    assert sent(good).json()["reports"] == [{"state": "unlabeled", "new": False}]
    assert site.store.final_report_counts() == {FinalState.UNLABELED: 1}
    assert "imported" in {record.event.action for record in site.store.whole_audit()}


def test_bodies_that_are_refused(site):
    """No list, too many, no JSON, too long."""
    for body, status in (
        ({}, 400),
        ({"reports": []}, 400),
        ({"reports": [{}] * 101}, 400),
        ({"reports": [{"report": "x" * 300_000}]}, 413),
    ):
        answer = site.post("/api/final-reports", json=body)
        assert answer.status_code == status, body.keys()
