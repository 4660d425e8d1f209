"""The page of models and its switches, for an administrator; the banner on every page."""

from dataclasses import replace

import pytest

from dicom.content.report import Finding, Observation, Presence
from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.jobs import JobState
from service.records.models import ModelFacts
from service.records.shadow import ShadowEnd, ShadowState, compare
from service.store.audit.trail import AuditFilter
from service.store.shadow_readings import ShadowLimits

LIMITS = ShadowLimits(max_open_jobs=9, backlog=9, per_hour=99)
FACTS = ModelFacts(
    kind="transformers",
    version="7",
    own_name="Chest",
    device="cuda:0",
    dtype="bfloat16",
    weights_sha256="0" * 64,
    licence="CC BY-NC 4.0 <b>",
    intended_use="Research only.",
    tried="Untried: no weights were at hand.",
    cannot=("regions",),
)


@pytest.fixture
def site(make_site):
    """A site with a model in use, a further one, and a shadow model."""
    second = {"name": "second", "model": "tiny", "model_version": "7"}
    return make_site(models=[second, {"name": "trial", "model": "demo", "shadow": True}])


def shadow_drafted(site, job, findings):
    """Record a draft of the shadow model with these findings."""
    claim = site.store.claim_shadow("trial", "1", "s", 60, LIMITS)
    assert claim.job.id == job.id
    draft = replace(claim.job.draft, findings=findings)
    made = compare(claim.job.draft, draft)
    end = ShadowEnd(state=ShadowState.DRAFTED, seconds=1.0, draft=draft, comparison=made)
    site.store.end_shadow(claim, end)


def test_the_page_shows_where_models_are_loaded_and_compares_the_shadow(site, seeder):
    """License and trial are shown as text; the shadow's draft appears on no other page."""
    site.store.note_loaded("reading.second", "host", "second", FACTS)
    seeder.beat("reading.second")
    job = seeder.drafted(1)
    only = Finding(
        observation=Observation.EDEMA, presence=Presence.PRESENT, sentence="Shadow edema here."
    )
    shadow_drafted(site, job, (only,))
    html = site.get("/models").text
    assert "Content-Security-Policy" in site.get("/models").headers
    for words in ("cuda:0", "CC BY-NC 4.0 &lt;b&gt;", "Untried: no weights", "never delivered"):
        assert words in html
    found = site.get("/api/models").json()
    by_name = {each["name"]: each for each in found["models"]}
    assert (found["reads_new"], by_name["second"]["alive"]) == ("demo", True)
    figures = by_name["trial"]["shadow"]
    assert (figures["read"], figures["compared"], figures["identical"]) == (1, 1, 0)
    edema = next(each for each in figures["findings"] if each["finding"] == "edema")
    assert (edema["only_shadow"], edema["only_in_use"], edema["both"]) == (1, 0, 0)
    study = f"/studies/{job.study_instance_uid}"
    for path in ("/", "/read", study, f"/api{study}", f"/api/jobs/{job.id}"):
        answer = site.get(path)
        assert answer.status_code == 200, path
        assert "Shadow edema" not in answer.text
        assert "trial" not in answer.text


def test_the_choice_is_audited_and_a_shadow_cannot_be_chosen(site):
    """The page and the API name the person who chose; unknown models are refused."""
    assert site.post("/models/use", data={"model": "second"}).status_code == 303
    found = site.get("/api/models").json()
    assert (found["reads_new"], found["choice"]["chosen_by"]) == ("second", "ann (web page)")
    assert "chosen by <bdi>ann (web page)</bdi>" in site.get("/models").text
    for name in ("trial", "absent", ""):
        assert site.post("/api/models/use", json={"model": name}).status_code == 400
    assert site.post("/api/models/use", json={"model": ["demo"]}).status_code == 400
    records = site.store.audit_records(AuditFilter())
    chosen = [each.event for each in records if each.event.action is AuditAction.CHOSE_MODEL]
    assert [(each.actor, each.detail, each.address) for each in chosen] == [
        ("ann (web page)", "second", "127.0.0.1")
    ]


def test_a_chosen_model_that_is_gone_needs_attention(site):
    """The model of [reading] reads, and queue and page state it."""
    event = AuditEvent(action=AuditAction.CHOSE_MODEL, actor="kim (web page)", detail="gone")
    site.store.use_model("gone", event)
    assert site.get("/api/models").json()["reads_new"] == "demo"
    assert "The model gone, chosen for new studies, is not configured" in site.get("/").text
    assert "The chosen model gone is not configured" in site.get("/models").text


def test_a_stop_shows_on_every_page_and_ends_by_a_button(site, seeder, cookie_of):
    """Banner, reason of waiting jobs, `/readyz`, metrics; without a login the banner names no person."""
    job = seeder.waiting(1)
    radiologist = cookie_of(site.store, Role.RADIOLOGIST, login="ray")
    assert site.post("/drafting/stop", data={"reason": " "}).status_code == 400
    assert site.post("/drafting/stop", data={"reason": "x"}, as_=radiologist).status_code == 403
    assert site.store.drafting_stop() is None
    assert site.post("/drafting/stop", data={"reason": "wrong <side>"}).status_code == 303
    study = f"/studies/{job.study_instance_uid}"
    for path in ("/", study, "/models", "/admin/audit"):
        assert 'id="drafting-stopped"' in site.get(path).text, path
    assert "wrong &lt;side&gt;" in site.get("/read", as_=radiologist).text
    login = site.get("/login", as_="").text
    assert 'id="drafting-stopped"' in login
    assert "wrong" not in login
    reason = site.get(f"/api/jobs/{job.id}").json()["why"]
    assert reason.startswith("Drafting was stopped by ann (web page)")
    ready = site.get("/readyz")
    assert ready.json()["drafting"]["reason"] == "wrong <side>"
    assert "drafting" not in ready.json()["faults"]
    assert "wetread_drafting_stopped 1.0" in site.get("/metrics").text
    assert site.store.claim_reading(job.id, "reader", 60) is None
    assert site.post("/drafting/stop", data={"reason": "again"}).status_code == 409
    assert site.post("/drafting/start").status_code == 303
    assert 'id="drafting-stopped"' not in site.get("/").text
    assert site.store.claim_reading(job.id, "reader", 60).state is JobState.IN_PROGRESS
    actions = [each.event.action for each in site.store.audit_records(AuditFilter())]
    assert actions.count(AuditAction.STOPPED_DRAFTING) == 1
    assert actions.count(AuditAction.STARTED_DRAFTING) == 1


def test_the_api_stops_and_starts(site):
    """With the same rules; the answer shows the state."""
    found = site.post("/api/drafting/stop", json={"reason": "update"}).json()
    assert (found["drafting"]["stopped"], found["drafting"]["reason"]) == (True, "update")
    assert site.post("/api/drafting/start", json={}).json()["drafting"] == {"stopped": False}
