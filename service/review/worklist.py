"""The order of the drafts that await a decision, and why each stands where it does. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from dicom.content.report import Finding
from service.records import JobWithDraft
from service.review.confidence import confidence
from service.review.decision import obstacle
from service.review.draft_sentences import urgent_findings
from service.review.words import OBSTACLE_TEXT, Obstacle


class Place(IntEnum):
    """Why a draft stands where it does in the worklist; a lower one stands above."""

    OVERDUE = 0  # it has waited longer than the limit
    SITE_URGENT = 1
    AI_URGENT = 2
    AGE = 3


_WORDS: Final = {
    Place.SITE_URGENT: "Urgent by the site",
    Place.AGE: "By waiting time",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistEntry:
    """A draft that awaits a decision.

    Attributes:
        place: The rule that puts it where it stands.
        urgency: The place that it would have without the limit: orders the overdue ones.
        since: Since when it waits.
        findings: The findings of the draft that cannot wait.
        obstacle: Why no report can be made from it, or None.
    """

    job: JobWithDraft
    place: Place
    urgency: Place
    since: datetime
    findings: tuple[Finding, ...]
    obstacle: Obstacle | None

    @property
    def reason(self) -> str:
        """Why it stands where it does, for people."""
        if self.urgency is Place.AI_URGENT:
            return f"Urgent by AI: {', '.join(map(_finding_text, self.findings))}"
        return _WORDS[self.urgency]

    @property
    def obstacle_text(self) -> str:
        """Why no report can be made from it; "" if one can."""
        return OBSTACLE_TEXT[self.obstacle] if self.obstacle else ""


def worklist(jobs: Iterable[JobWithDraft], now: datetime, limit: timedelta) -> list[WorklistEntry]:
    """Return the drafts in the order in which they are to be read.

    Those that have waited longer than the limit come first: an order by urgency alone makes the
    longest waiting time longer. Within a place the urgent come first, then the older ones.

    Args:
        jobs: Jobs with a draft that awaits a decision.
        now: The time, aware.
        limit: Nothing may wait longer behind others.
    """
    entries = [_entry(job, now, limit) for job in jobs]
    return sorted(entries, key=lambda each: (each.place, each.urgency, each.since, each.job.id))


def _entry(job: JobWithDraft, now: datetime, limit: timedelta) -> WorklistEntry:
    findings = urgent_findings(job.draft) if job.draft else ()
    urgency = Place.AGE
    if job.urgent:
        urgency = Place.SITE_URGENT
    elif findings:
        urgency = Place.AI_URGENT
    is_overdue = now - job.created_at > limit
    return WorklistEntry(
        job=job,
        place=Place.OVERDUE if is_overdue else urgency,
        urgency=urgency,
        since=job.created_at,
        findings=findings,
        obstacle=obstacle(job),
    )


def _finding_text(finding: Finding) -> str:
    side = f"{finding.side.value} " if finding.side else ""
    return ", ".join(filter(None, (f"{side}{finding.observation.value}", confidence(finding))))
