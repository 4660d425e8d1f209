"""Where each received study and each job stands; every one is in exactly one class.

    received studies = drafted + waiting + failed + not analyzed + canceled + withdrawn
                       + without an image to read + unaccounted

A study is UNACCOUNTED if nothing will read it although it has an image: it has no job and does not wait
for one. This never happens in normal operation; if it does, the equation does not balance.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.jobs import JobState, ReasonCode

# Prefixes of SOP Class UIDs of which an Instance alone begins no job: structured reports, encapsulated
# documents, presentation states, and the captures that an archive sends back as our own results.
_NO_IMAGE: Final = tuple(f"1.2.840.10008.5.1.4.1.1.{each}" for each in ("88.", "104.", "11.", "7."))


class StudyClass(StrEnum):
    """Where a received study stands; stored in `hourly_counts.key`."""

    DRAFTED = "drafted"
    WAITING = "waiting"
    FAILED = "failed"
    NOT_ANALYZED = "not analyzed"
    CANCELED = "canceled"
    WITHDRAWN = "withdrawn"
    NO_IMAGE = "no image"  # documents, presentation states or conflicting copies only
    UNACCOUNTED = "unaccounted"


class JobClass(StrEnum):
    """Where a job stands; stored in `hourly_counts.key`."""

    DELIVERED = "delivered"
    DELIVERING = "delivering"
    WAITING = "waiting"
    READING = "reading"
    FAILED = "failed"
    NOT_ANALYZED = "not analyzed"
    CANCELED = "canceled"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    OTHER = "other"  # a state of another version


_OF_JOB: Final = {
    JobState.SCHEDULED: JobClass.WAITING,
    JobState.IN_PROGRESS: JobClass.READING,
    JobState.DRAFTED: JobClass.DELIVERING,
    JobState.COMPLETED: JobClass.DELIVERED,
    JobState.NOT_ANALYSED: JobClass.NOT_ANALYZED,
    JobState.FAILED: JobClass.FAILED,
    JobState.CANCELED: JobClass.CANCELED,
}
_OF_STUDY: Final = {
    JobClass.DELIVERED: StudyClass.DRAFTED,
    JobClass.DELIVERING: StudyClass.DRAFTED,
    JobClass.SUPERSEDED: StudyClass.DRAFTED,
    JobClass.WAITING: StudyClass.WAITING,
    JobClass.READING: StudyClass.WAITING,
    JobClass.OTHER: StudyClass.WAITING,
    JobClass.FAILED: StudyClass.FAILED,
    JobClass.NOT_ANALYZED: StudyClass.NOT_ANALYZED,
    JobClass.CANCELED: StudyClass.CANCELED,
    JobClass.WITHDRAWN: StudyClass.WITHDRAWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStanding:
    """What decides where a job stands."""

    state: str
    reason_code: str = ""
    is_superseded: bool = False

    @property
    def job_class(self) -> JobClass:
        """The class of the job."""
        if self.is_superseded:
            return JobClass.SUPERSEDED
        if self.reason_code == ReasonCode.RECALLED:
            return JobClass.WITHDRAWN
        known = {state.value: found for state, found in _OF_JOB.items()}
        return known.get(self.state, JobClass.OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStanding:
    """What decides where a study stands.

    Attributes:
        first_arrival: When its first Instance arrived.
        waits: Whether it waits for a job: further images may come, or its quiet time ends soon.
        jobs: Its jobs, the oldest first.
        images: SOP Class UID and eligibility of its Instances, conflicts left out; only without a job.
    """

    study_instance_uid: str
    first_arrival: datetime
    waits: bool
    jobs: Sequence[JobStanding] = ()
    images: Sequence[tuple[str, bool]] = ()

    @property
    def study_class(self) -> StudyClass:
        """The class of the study, by its latest job that made or may make a difference."""
        if self.waits:
            return StudyClass.WAITING
        if self.jobs:
            return _OF_STUDY[_decisive(self.jobs).job_class]
        # With a dot at the end: 7 is a capture, 77 a photograph.
        is_image = (
            eligible or not f"{uid}.".startswith(_NO_IMAGE) for uid, eligible in self.images
        )
        return StudyClass.UNACCOUNTED if any(is_image) else StudyClass.NO_IMAGE


def _decisive(jobs: Sequence[JobStanding]) -> JobStanding:
    """Return the latest job; a canceled one leaves an earlier draft as it is and does not count."""
    changing = [each for each in jobs if each.job_class is not JobClass.CANCELED]
    return (changing or jobs)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Studies and jobs of a time by class."""

    studies: Mapping[StudyClass, int] = field(default_factory=dict)
    jobs: Mapping[JobClass, int] = field(default_factory=dict)

    @property
    def received(self) -> int:
        """The number of studies."""
        return sum(self.studies.values())

    @property
    def made(self) -> int:
        """The number of jobs."""
        return sum(self.jobs.values())

    @property
    def unaccounted(self) -> int:
        """The number of studies that nothing will read."""
        return self.studies.get(StudyClass.UNACCOUNTED, 0)

    @property
    def holds(self) -> bool:
        """Whether the classes of normal operation add up to the received studies."""
        return not self.unaccounted


def total(balances: Iterable[Balance]) -> Balance:
    """Return the sum of balances of different times."""
    studies: Counter[StudyClass] = Counter()
    jobs: Counter[JobClass] = Counter()
    for each in balances:
        studies.update(each.studies)
        jobs.update(each.jobs)
    return Balance(studies=studies, jobs=jobs)
