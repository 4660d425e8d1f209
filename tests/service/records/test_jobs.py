"""The alarms of a job's draft."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.jobs import DraftStatus, JobState, ReasonCode
from service.records import Job, first_to_read
from service.records.jobs import JobWithDraft

AT = datetime(2026, 3, 1, tzinfo=UTC)
JOB = JobWithDraft(
    id="j",
    study_instance_uid="1.2",
    calling_ae="CR1",
    model_name="tiny",
    model_version="1",
    revision=1,
    state=JobState.COMPLETED,
    urgent=False,
    reason_code="",
    reason="",
    created_at=AT,
    updated_at=AT,
    not_before=None,
    attempts=1,
    first_error="",
    last_error="",
    lease_owner="",
    lease_until=None,
    fence=1,
    supersedes=None,
    superseded_by=None,
    has_draft=True,
)


@pytest.mark.parametrize(
    ("changes", "status", "shown"),
    [
        ({}, DraftStatus.STANDS, JobState.COMPLETED),
        ({"has_draft": False}, DraftStatus.NONE, JobState.COMPLETED),
        ({"superseded_by": "k"}, DraftStatus.SUPERSEDED, JobState.COMPLETED),
        ({"doubt": "It differs."}, DraftStatus.IN_DOUBT, DraftStatus.IN_DOUBT),
        (
            {"doubt": "It differs.", "reason_code": ReasonCode.RECALLED},
            DraftStatus.WITHDRAWN,
            DraftStatus.WITHDRAWN,
        ),
    ],
)
def test_the_gravest_status_counts(changes, status, shown):
    """An alarm is shown instead of the state."""
    job = replace(JOB, **changes)
    assert (job.draft_status, job.shown_state) == (status, shown)


def test_the_model_as_configured_where_the_draft_cannot_be_read():
    """Its own name is in the draft."""
    assert JOB.drafted_by == "tiny 1"
    assert isinstance(JOB, Job)


def test_a_standing_draft_is_read_first():
    """Then one in doubt, one that is withdrawn, one that is superseded, and one that is hidden."""
    order = [
        {},
        {"doubt": "It differs."},
        {"reason_code": ReasonCode.RECALLED},
        {"superseded_by": "k"},
        {"reason_code": ReasonCode.WITHHELD},
    ]
    jobs = [replace(JOB, id=str(number), **each) for number, each in enumerate(order)]
    for first in range(len(jobs)):
        left = [*reversed(jobs[first:]), replace(JOB, id="none", has_draft=False)]
        assert first_to_read(left).id == str(first)
    assert first_to_read([jobs[0], replace(jobs[0], id="older")]).id == "0"
    assert first_to_read([]) is None
