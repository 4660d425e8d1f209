"""The order of the worklist, and the reason for each draft's place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dicom.content.report import Agreement, Finding, Observation, Presence, Side
from service.jobs import JobState
from service.records import JobWithDraft
from service.review.confidence import Confidence, confidence
from service.review.words import Obstacle
from service.review.worklist import Place, worklist

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMIT = timedelta(minutes=60)


@pytest.fixture
def job_of(reviewing):
    """A function that returns a job with a draft that waits for so many minutes."""

    def make(name, minutes, *, is_urgent=False, has_pneumothorax=False, **changes):
        draft = reviewing.draft()
        if not has_pneumothorax:
            kept = [each for each in draft.findings if each.observation != "pneumothorax"]
            draft = replace(draft, findings=tuple(kept))
        texts = dict.fromkeys(
            ("calling_ae", "model_name", "model_version", "reason_code", "reason"), ""
        )
        texts |= dict.fromkeys(("first_error", "last_error", "lease_owner"), "")
        nothing = dict.fromkeys(("not_before", "lease_until", "supersedes", "superseded_by"))
        created = NOW - timedelta(minutes=minutes)
        job = JobWithDraft(
            id=name,
            study_instance_uid="1.2.3",
            revision=1,
            state=JobState.DRAFTED,
            urgent=is_urgent,
            created_at=created,
            updated_at=created,
            attempts=1,
            fence=1,
            has_draft=True,
            draft=draft,
            **texts,
            **nothing,
        )
        return replace(job, **changes)

    return make


def test_the_order_is_limit_site_ai_age(job_of):
    """Nothing waits above the limit behind a newer urgent one."""
    jobs = [
        job_of("young", 1),
        job_of("old", 50),
        job_of("ai", 2, has_pneumothorax=True),
        job_of("site", 1, is_urgent=True),
        job_of("over", 61),
        job_of("over-ai", 90, has_pneumothorax=True),
        job_of("at-the-limit", 60),
    ]
    found = worklist(jobs, NOW, LIMIT)
    assert [each.job.id for each in found] == [
        "over-ai",
        "over",
        "site",
        "ai",
        "at-the-limit",
        "old",
        "young",
    ]
    assert [each.place for each in found[:4]] == [
        Place.OVERDUE,
        Place.OVERDUE,
        Place.SITE_URGENT,
        Place.AI_URGENT,
    ]


def test_each_states_why_it_stands_there(job_of):
    """The finding with its side and the confidence of the draft, not a percentage."""
    ai, age = worklist([job_of("b", 1), job_of("a", 2, has_pneumothorax=True)], NOW, LIMIT)
    # Its score contradicts it.
    assert ai.reason == "Urgent by AI: right pneumothorax, unsure"
    assert age.reason == "By waiting time"
    (site,) = worklist([job_of("c", 1, is_urgent=True, has_pneumothorax=True)], NOW, LIMIT)
    assert site.reason == "Urgent by the site"


def test_a_draft_in_doubt_is_listed_with_its_obstacle(job_of):
    """It waits for a rejection or a new draft; it cannot be accepted."""
    (entry,) = worklist([job_of("a", 1, doubt="It differs in Patient ID.")], NOW, LIMIT)
    assert entry.obstacle is Obstacle.IN_DOUBT
    assert "of another patient" in entry.obstacle_text


@pytest.mark.parametrize(
    ("presence", "changes", "expected"),
    [
        (Presence.PRESENT, {}, Confidence.LIKELY),
        (Presence.PRESENT, {"score": 0.51}, Confidence.LIKELY),
        (Presence.PRESENT, {"score": 0.49}, Confidence.UNSURE),
        (Presence.PRESENT, {"agreement": Agreement(same=2, samples=5)}, Confidence.UNSURE),
        (Presence.PRESENT, {"agreement": Agreement(same=3, samples=5)}, Confidence.LIKELY),
        (Presence.UNCERTAIN, {"score": 0.9}, Confidence.UNSURE),
        (Presence.ABSENT, {}, Confidence.UNLIKELY),
        (Presence.ABSENT, {"score": 0.8}, Confidence.UNSURE),
        (Presence.NOT_MENTIONED, {}, None),
        (Presence.NOT_CODED, {}, None),
    ],
)
def test_confidence_is_one_of_three_words(presence, changes, expected):
    """Text, score and sampled readings must agree for "likely" and "unlikely"."""
    finding = Finding(
        observation=Observation.EDEMA, presence=presence, side=Side.BILATERAL, **changes
    )
    assert confidence(finding) is expected
