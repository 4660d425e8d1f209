"""The kill switch and the choice of the model for new studies, in the database."""

import pytest

from service.audit import AuditAction, AuditEvent
from service.errors import DraftingStopped, LeaseLost
from service.jobs import DeliveryState, IllegalTransition, JobState, ReasonCode
from service.store import Store
from service.store.audit.trail import AuditFilter
from service.store.shadow_readings import ShadowLimits

STOP = AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="kim (web page)", detail="wrong side")
START = AuditEvent(action=AuditAction.STARTED_DRAFTING, actor="lee (web page)")
CHOOSE = AuditEvent(action=AuditAction.CHOSE_MODEL, actor="kim (web page)", detail="second")


def waiting(store, reviewing, study="1.2.3"):
    """Return a job that waits, of a study with a draft."""
    reviewing.drafted(store, study)
    return store.schedule(study, model="demo", version="1", actor="t", reason="r", force=True)


def test_a_stop_takes_the_job_from_its_worker_and_keeps_others_from_it(store, reviewing):
    """The reading can be neither extended nor recorded; the job waits with name and reason."""
    job = waiting(store, reviewing)
    held = store.claim_reading(job.id, "reader", 60)
    store.stop_drafting("wrong side", STOP)
    back = store.job(job.id)
    assert (back.state, back.reason_code) == (JobState.SCHEDULED, ReasonCode.DRAFTING_STOPPED)
    assert back.reason == "Drafting was stopped by kim (web page): wrong side."
    assert (back.attempts, back.lease_owner) == (0, "")
    with pytest.raises(LeaseLost):
        store.extend(job.id, held.fence, 60)
    with pytest.raises((LeaseLost, DraftingStopped)):
        store.draft(job.id, held.fence, reviewing.draft(), [], ["pacs"])
    assert store.claim_reading(job.id, "reader", 60) is None
    assert store.drafting_stop().stopped_by == "kim (web page)"


def test_a_claim_that_slips_in_beside_the_stop_records_no_draft(store, reviewing):
    """A job claimed for a notice is not drafted either: the check is in the transaction of the draft."""
    job = waiting(store, reviewing)
    store.stop_drafting("wrong side", STOP)
    held = store.claim_reading(job.id, "reader", 60, while_stopped=True)
    with pytest.raises(DraftingStopped, match="kim"):
        store.draft(job.id, held.fence, reviewing.draft(), [], ["pacs"])
    assert store.job(job.id).state is JobState.IN_PROGRESS


def test_it_holds_for_another_process_and_ends_for_all(store, database_url, clock, reviewing):
    """The stop also applies to a store that is opened later; after the start the job is due at once."""
    job = waiting(store, reviewing)
    store.stop_drafting("wrong side", STOP)
    later = Store(database_url, clock=clock)
    try:
        assert later.drafting_stop().reason == "wrong side"
        assert later.claim_reading(job.id, "reader", 60) is None
        later.start_drafting(START)
    finally:
        later.close()
    assert store.drafting_stop() is None
    assert store.job(job.id).published_at is None
    assert store.claim_reading(job.id, "reader", 60) is not None


def test_each_change_is_audited_with_it_and_repeated_ones_are_refused(store):
    """A second stop or start changes nothing and leaves no record."""
    with pytest.raises(IllegalTransition):
        store.start_drafting(START)
    store.stop_drafting("wrong side", STOP)
    with pytest.raises(IllegalTransition):
        store.stop_drafting("again", STOP)
    store.start_drafting(START)
    store.stop_drafting("once more", STOP)
    actions = [each.event.action for each in store.audit_records(AuditFilter())]
    assert actions == [
        AuditAction.STOPPED_DRAFTING,
        AuditAction.STARTED_DRAFTING,
        AuditAction.STOPPED_DRAFTING,
    ]
    assert store.drafting_stop().reason == "once more"


def test_jobs_with_a_notice_wait_again_after_the_start(store, reviewing, clock):
    """Also one whose notice was recorded just after the start; others that were not read do not."""
    jobs = [waiting(store, reviewing, f"1.2.{number}") for number in (3, 4, 5)]
    other = store.claim_reading(jobs[2].id, "reader", 60)
    store.not_analysed(other.id, other.fence, "NOT_FRONTAL", "No frontal image.")
    store.stop_drafting("wrong side", STOP)
    first = store.claim_reading(jobs[0].id, "reader", 60, while_stopped=True)
    second = store.claim_reading(jobs[1].id, "reader", 60, while_stopped=True)
    store.not_analysed(first.id, first.fence, ReasonCode.DRAFTING_STOPPED, "Stopped.")
    assert store.requeue_stopped() == 0
    store.start_drafting(START)
    assert store.requeue_stopped() == 1
    clock.move(10)
    store.not_analysed(second.id, second.fence, ReasonCode.DRAFTING_STOPPED, "Stopped.")
    assert store.requeue_stopped() == 1
    states = [store.job(each.id).state for each in jobs]
    assert states == [JobState.SCHEDULED, JobState.SCHEDULED, JobState.NOT_ANALYSED]
    clock.move(600)
    assert store.requeue_stopped() == 0
    assert store.claim_reading(jobs[0].id, "reader", 60) is not None


def test_a_stop_leaves_drafts_to_their_destinations_and_the_shadow_idle(store, reviewing):
    """An earlier draft is delivered; a shadow model reads nothing."""
    job = reviewing.drafted(store)
    store.stop_drafting("wrong side", STOP)
    assert store.deliveries(job.id)[0].state is DeliveryState.PENDING
    limits = ShadowLimits(max_open_jobs=9, backlog=9, per_hour=9)
    assert store.claim_shadow("trial", "1", "s", 60, limits) is None
    assert store.shadow_must_end(limits)


def test_a_choice_concerns_studies_without_a_job(store, reviewing):
    """A study that was read keeps its model, unless its draft was withdrawn."""
    read = reviewing.drafted(store, "1.2.3")
    models = {"demo", "second"}
    assert store.chosen_models(["1.2.3", "1.2.9"], models) == {}
    store.use_model("second", CHOOSE)
    assert store.model_choice().model == "second"
    assert store.chosen_models(["1.2.3", "1.2.9"], models) == {"1.2.3": "demo", "1.2.9": "second"}
    assert store.chosen_models(["1.2.9"], {"demo"}) == {}
    store.withdraw(read.id, "kim", "wrong side")
    assert store.chosen_models(["1.2.3"], models) == {"1.2.3": "second"}
    assert store.audit_records(AuditFilter())[0].event.action is AuditAction.CHOSE_MODEL
