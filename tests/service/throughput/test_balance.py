"""Each study and each job is in exactly one class."""

from datetime import UTC, datetime

import pytest

from service.jobs import JobState, ReasonCode
from service.throughput.balance import (
    Balance,
    JobClass,
    JobStanding,
    StudyClass,
    StudyStanding,
    total,
)

PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def study(*jobs, waits=False, images=()):
    """A study with these jobs."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return StudyStanding(
        study_instance_uid="1.2", first_arrival=at, waits=waits, jobs=jobs, images=images
    )


def job(state, reason="", *, superseded=False):
    """A job in this state."""
    return JobStanding(state=state, reason_code=reason, is_superseded=superseded)


DRAFTED = job(JobState.COMPLETED)
CANCELED = job(JobState.CANCELED, ReasonCode.CANCELED)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (study(DRAFTED), StudyClass.DRAFTED),
        (study(job(JobState.DRAFTED)), StudyClass.DRAFTED),
        (study(job(JobState.SCHEDULED)), StudyClass.WAITING),
        (study(job(JobState.IN_PROGRESS)), StudyClass.WAITING),
        (study(waits=True), StudyClass.WAITING),
        (study(DRAFTED, waits=True), StudyClass.WAITING),
        (study(job(JobState.FAILED)), StudyClass.FAILED),
        (study(DRAFTED, job(JobState.FAILED)), StudyClass.FAILED),
        (study(job(JobState.NOT_ANALYSED)), StudyClass.NOT_ANALYZED),
        (study(CANCELED), StudyClass.CANCELED),
        # A new reading that a person canceled leaves the draft as it is.
        (study(DRAFTED, CANCELED), StudyClass.DRAFTED),
        (study(job(JobState.COMPLETED, ReasonCode.RECALLED)), StudyClass.WITHDRAWN),
        (study(job(JobState.CANCELED, ReasonCode.RECALLED)), StudyClass.WITHDRAWN),
        (study(job("LATER_STATE")), StudyClass.WAITING),
        (study(images=[(SR, False), (CAPTURE, False)]), StudyClass.NO_IMAGE),
        (study(), StudyClass.NO_IMAGE),
        (study(images=[(SR, False), (DX, True)]), StudyClass.UNACCOUNTED),
        # An image that is not read, such as a lateral, gets a job with that reason.
        (study(images=[(DX, False)]), StudyClass.UNACCOUNTED),
        (study(images=[(PHOTOGRAPH, False)]), StudyClass.UNACCOUNTED),
    ],
)
def test_the_class_of_a_study(standing, expected):
    """The latest job with a result decides."""
    assert standing.study_class is expected


def test_the_class_of_a_job():
    """A superseded draft is not counted as delivered, a withdrawn one neither."""
    standings = [job(state) for state in JobState]
    standings += [job(JobState.COMPLETED, superseded=True), job("LATER_STATE")]
    standings += [job(JobState.COMPLETED, ReasonCode.RECALLED)]
    assert {each.job_class for each in standings} == set(JobClass)


def test_balances_are_added_up_and_hold_without_unaccounted_studies():
    """Of two times."""
    first = Balance(studies={StudyClass.DRAFTED: 3}, jobs={JobClass.DELIVERED: 3})
    second = Balance(studies={StudyClass.DRAFTED: 1, StudyClass.UNACCOUNTED: 1})
    both = total([first, second])
    assert (both.received, both.made, both.unaccounted) == (5, 3, 1)
    assert (first.holds, both.holds) == (True, False)
