"""Records of the end-to-end check."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class ProbeStage(StrEnum):
    """The stage at which a check is, in order; stored in `probes.stage`."""

    SEND = "send"  # C-STORE to the receiver
    SCHEDULE = "schedule"  # the study becomes a job
    READ = "read"  # the model drafts
    DELIVER = "deliver"  # the results are sent and confirmed
    READ_BACK = "read back"  # the objects at the destinations are compared, and the finding
    CLEAN = "clean"  # everything of the check is removed again

    @property
    def text(self) -> str:
        """The stage for people."""
        return _STAGE_TEXT[self]


_STAGE_TEXT: Final = {
    ProbeStage.SEND: "sending to the receiver",
    ProbeStage.SCHEDULE: "making the job",
    ProbeStage.READ: "drafting by the model",
    ProbeStage.DELIVER: "delivery",
    ProbeStage.READ_BACK: "reading back from the destinations",
    ProbeStage.CLEAN: "removal of its objects",
}


class ProbeOutcome(StrEnum):
    """How a check ended; stored in `probes.outcome`."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # a person has stopped drafting


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One end-to-end check.

    Attributes:
        sop_instance_uid: The only Instance of its study.
        digest: Digest of that Instance's data set: another one in the study is not part of the check.
        stage: Where it is, or where it ended.
        reason: Why it failed or was skipped; "" else. No patient attribute.
        reached: When each stage was begun.
        left_at: Destinations at which its objects stay, because removal is not permitted there.
        cleaned_at: When its files and rows were removed; None before.
    """

    id: str
    started_at: datetime
    study_instance_uid: str
    sop_instance_uid: str
    digest: str
    stage: ProbeStage
    outcome: ProbeOutcome
    reason: str
    reached: Mapping[ProbeStage, datetime]
    left_at: tuple[str, ...]
    ended_at: datetime | None
    cleaned_at: datetime | None

    @property
    def duration(self) -> timedelta | None:
        """The time from its start to its outcome; None while it runs."""
        return self.ended_at - self.started_at if self.ended_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeHealth:
    """What the checks say about the service now.

    Attributes:
        latest: The latest check that passed or failed; None if there is none.
        running: The check that runs; None if none does.
        passed_at: When a check last passed; None for never.
        due_at: Until when a check has to end; later than that, it is late.
        now: The time of the query.
    """

    latest: Probe | None
    running: Probe | None
    passed_at: datetime | None
    due_at: datetime
    now: datetime

    @property
    def is_late(self) -> bool:
        """Whether no check has ended for longer than the settings permit."""
        return self.now > self.due_at

    @property
    def fault(self) -> str:
        """A sentence if the latest check failed, or none has ended in time; else ""."""
        if self.is_late:
            return "No end-to-end check has ended in time: does the sweeper run?"
        latest = self.latest
        if latest is not None and latest.outcome is ProbeOutcome.FAILED:
            return f"The end-to-end check failed at {latest.stage.text}: {latest.reason}"
        return ""
