"""Readings by shadow models in the database: claims, limits, leases, removal."""

from dataclasses import replace

import pytest

from dicom.content.report import Finding, Observation, Presence, Side
from service.errors import LeaseLost
from service.jobs import JobState
from service.records.shadow import ShadowComparison, ShadowEnd, ShadowState, compare
from service.store.shadow_readings import ShadowLimits

LIMITS = ShadowLimits(max_open_jobs=0, backlog=10, per_hour=100)


def claimed(store, limits=LIMITS, owner="s1"):
    """Claim the next reading of the shadow model."""
    return store.claim_shadow("trial", "2", owner, 60, limits)


def test_a_draft_is_read_once_and_recorded_with_its_comparison(store, reviewing):
    """The draft, its prompt's digest and the comparison are kept; the job does not change."""
    job = reviewing.drafted(store)
    before = store.job(job.id)
    claim = claimed(store)
    assert claim.job.id == job.id
    assert claimed(store, owner="s2") is None
    draft = reviewing.draft()
    end = ShadowEnd(
        state=ShadowState.DRAFTED,
        seconds=2.5,
        draft=draft,
        prompt_sha256="a" * 64,
        comparison=compare(claim.job.draft, draft),
    )
    store.end_shadow(claim, end)
    assert claimed(store) is None
    [kept] = store.shadow_readings("trial", limit=10)
    assert (kept.state, kept.draft, kept.prompt_sha256) == (ShadowState.DRAFTED, draft, "a" * 64)
    assert (kept.model_version, kept.seconds, kept.ended_at is None) == ("2", 2.5, False)
    assert ShadowComparison.from_json(kept.comparison.to_json()) == kept.comparison
    assert store.job(job.id) == before
    assert [each.id for each in store.jobs()] == [job.id]


def test_the_comparison_names_each_difference(reviewing):
    """Findings that one states alone, sides that differ, lengths; another image is not compared."""
    in_use = reviewing.draft(timings_ms={"model": 1500.0})
    findings = (
        Finding(
            observation=Observation.PLEURAL_EFFUSION, presence=Presence.PRESENT, side=Side.RIGHT
        ),
        Finding(
            observation=Observation.PNEUMOTHORAX, presence=Presence.PRESENT, side=Side.BILATERAL
        ),
        Finding(observation=Observation.EDEMA, presence=Presence.PRESENT),
        Finding(observation=Observation.CARDIOMEGALY, presence=Presence.ABSENT),
    )
    shadow = reviewing.draft(findings=findings, findings_text=("abc",), impression_text=())
    found = compare(in_use, shadow)
    assert found.both == ("pleural effusion", "pneumothorax")
    assert (found.only_in_use, found.only_shadow) == (("cardiomegaly",), ("edema",))
    assert found.sides_differ == ("pleural effusion", "pneumothorax")
    assert (found.characters_shadow, found.seconds_in_use, found.seconds_shadow) == (3, 1.5, None)
    other = replace(shadow, source=replace(shadow.source, sop_instance_uid="9.9"))
    assert compare(in_use, other).same_image is False
    assert compare(in_use, other).only_shadow == ()


@pytest.mark.parametrize(
    "limits",
    [
        ShadowLimits(max_open_jobs=0, backlog=10, per_hour=100),
        ShadowLimits(max_open_jobs=5, backlog=10, per_hour=1),
    ],
    ids=["while a job waits", "after the readings of an hour"],
)
def test_a_limit_keeps_the_shadow_from_reading(store, reviewing, limits):
    """It reads nothing while more jobs wait than allowed, nor more than allowed in an hour."""
    reviewing.drafted(store, "1.2.3")
    store.end_shadow(
        claimed(store), ShadowEnd(state=ShadowState.FAILED, seconds=0.1, reason="OOM: none.")
    )
    reviewing.drafted(store, "1.2.4")
    waiting = reviewing.drafted(store, "1.2.5")
    store.schedule(
        waiting.study_instance_uid, model="demo", version="1", actor="t", reason="r", force=True
    )
    assert store.open_jobs() == 1
    assert claimed(store, limits) is None
    free = ShadowLimits(max_open_jobs=1, backlog=10, per_hour=100)
    assert claimed(store, free) is not None


def test_old_drafts_are_skipped(store, reviewing, clock):
    """Of more drafts than the backlog allows, only the newest are read, the newest first."""
    jobs = []
    for number in (3, 4, 5):
        clock.move(1)
        jobs.append(reviewing.drafted(store, f"1.2.{number}"))
    limits = ShadowLimits(max_open_jobs=0, backlog=2, per_hour=100)
    read = []
    while (claim := claimed(store, limits)) is not None:
        store.end_shadow(claim, ShadowEnd(state=ShadowState.REFUSED, seconds=0.1, reason="r"))
        read.append(claim.job.id)
    assert read == [jobs[2].id, jobs[1].id]


def test_a_lost_worker_costs_an_attempt_and_the_third_ends_the_reading(store, reviewing, clock):
    """After the lease another worker reads; the lost one can record nothing; then it has failed."""
    job = reviewing.drafted(store)
    first = claimed(store)
    for attempt in (2, 3):
        clock.move(61)
        assert claimed(store, owner=f"s{attempt}").attempt == attempt
    with pytest.raises(LeaseLost):
        store.end_shadow(first, ShadowEnd(state=ShadowState.DRAFTED, seconds=1.0))
    clock.move(61)
    assert claimed(store) is None
    [kept] = store.shadow_readings("trial", limit=10)
    assert (kept.state, kept.draft) == (ShadowState.FAILED, None)
    assert store.job(job.id).state is JobState.DRAFTED


def test_an_abandoned_reading_does_not_count(store, reviewing):
    """A reading that other work interrupted leaves nothing behind."""
    reviewing.drafted(store)
    store.abandon_shadow(claimed(store))
    assert store.shadow_readings("trial", limit=10) == []
    assert claimed(store).attempt == 1


def test_a_reading_is_removed_with_the_images(store, reviewing):
    """Also one that is in progress then: it must not reappear at its end."""
    job = reviewing.drafted(store)
    claim = claimed(store)
    store.removed(job.id, "old")
    store.end_shadow(
        claim, ShadowEnd(state=ShadowState.DRAFTED, seconds=1.0, draft=reviewing.draft())
    )
    assert store.shadow_readings("trial", limit=10) == []
    assert claimed(store) is None
    other = reviewing.drafted(store, "1.2.4")
    store.end_shadow(
        claimed(store),
        ShadowEnd(state=ShadowState.DRAFTED, seconds=1.0, draft=reviewing.draft()),
    )
    store.removed(other.id, "old")
    store.remove_shadow_readings("1.2.4")
    assert store.shadow_readings("trial", limit=10) == []
