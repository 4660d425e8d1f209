"""The content of the queue's page, as a Snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.destination_backlog import Backlog
from service.jobs import DraftStatus, JobState
from service.monitoring.destination_incidents import alert_after, backlogs
from service.queue.broker_health import NOT_ACCEPTING
from service.records import ArrivingStudy, Job, ProcessRole
from service.settings.config import Settings
from service.store import Store
from service.store.refusals import MOST_ROWS
from service.web.render import Snapshot, part
from service.web.status.attention import attention
from service.web.status.refusal_text import RefusalLine, refusal_lines
from service.web.status.status_text import StatusReason, SystemStatus, stopped_reason, why

PAGE_LENGTH = 100
_INCIDENTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChoice:
    """Which jobs the page lists.

    Attributes:
        state: Only jobs in this state, or whose draft has this status; all when None.
        before: Only jobs older than the one with this id; the newest when empty.
    """

    state: JobState | DraftStatus | None = None
    before: str = ""

    @property
    def key(self) -> str:
        """Return the key of the live view, equal for equal choices."""
        return f"queue {self.state or ''} {self.before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notice:
    weight: str
    title: str
    reason: StatusReason


def listed_jobs(store: Store, choice: QueueChoice) -> list[Job]:
    """Return the jobs of one page, newest first, and one more if older ones exist."""
    before = choice.before or None
    if isinstance(choice.state, DraftStatus):
        return store.jobs(status=choice.state, limit=PAGE_LENGTH + 1, before=before)
    states = (choice.state,) if choice.state else ()
    return store.jobs(states, limit=PAGE_LENGTH + 1, before=before)


def queue_snapshot(
    store: Store,
    settings: Settings,
    situation: SystemStatus,
    choice: QueueChoice,
    *,
    acts: bool = False,
) -> Snapshot:
    """Return the queue as it is now.

    Args:
        store: The store.
        settings: The settings.
        situation: The state of the service.
        choice: Which jobs are listed.
        acts: Whether the forms that test a destination are shown.
    """
    counts, alarms = store.counts(), store.alarm_counts()
    total = sum(counts.values())
    found = listed_jobs(store, choice)
    jobs = found[:PAGE_LENGTH]
    deliveries = store.deliveries_of(job for job in jobs if job.state is JobState.DRAFTED)
    rows = {
        f"job-{job.id}": part(
            "row", job=job, reason=why(job, deliveries.get(job.id, ()), situation)
        )
        for job in jobs
    }
    parts = {
        "notices": part(
            "notices",
            notices=[
                *_notices(situation, counts.get(JobState.SCHEDULED, 0)),
                *_in_doubt(alarms[DraftStatus.IN_DOUBT]),
                *(_Notice(weight=w, title=t, reason=r) for w, t, r in attention(store, settings)),
            ],
        ),
        "counts": part(
            "counts",
            total=total,
            chosen=choice.state,
            counts=[(state, counts.get(state, 0)) for state in JobState],
            alarms=[(status, number) for status, number in alarms.items() if number],
        ),
        "empty": part("empty", total=total, nothing=not jobs, receiver=settings.receiver),
        "arriving": part("arriving", studies=_arriving(store, choice)),
        "processes": part(
            "processes",
            processes=[(each, situation.alive(each)) for each in situation.processes],
        ),
        "destinations": part(
            "destinations", destinations=_destinations(store, settings), acts=acts
        ),
        "incidents": part("incidents", incidents=store.incidents(limit=_INCIDENTS)),
        "refusals": part("refusals", refusals=_refusals(store)),
        **rows,
    }
    older_than = jobs[-1].id if len(found) > PAGE_LENGTH else ""
    return Snapshot(parts=parts, order=tuple(rows), older_than=older_than)


def _refusals(store: Store) -> Sequence[RefusalLine]:
    """Return the latest lines; all rows are read, because one line may combine dozens of them."""
    return refusal_lines(store.refusals(limit=2 * MOST_ROWS))[:_INCIDENTS]


def _destinations(store: Store, settings: Settings) -> Sequence[tuple[Backlog, bool]]:
    """Return each destination, and whether a result has waited too long for it."""
    now, limit = store.now(), alert_after(settings)
    return [(each, each.is_overdue(now, limit)) for each in backlogs(store, settings)]


def _in_doubt(count: int) -> Sequence[_Notice]:
    if not count:
        return ()
    subject = "1 draft is" if count == 1 else f"{count} drafts are"
    reason = StatusReason(
        f"{subject} about an image of which a corrected or conflicting copy was received. Verify "
        "patient, order and image."
    )
    return (_Notice(weight="bad", title="Drafts in doubt:", reason=reason),)


def _arriving(store: Store, choice: QueueChoice) -> Sequence[ArrivingStudy]:
    """Return the studies without a job yet; only the first page of all jobs shows them."""
    return () if choice.state or choice.before else store.arriving()


def _notices(situation: SystemStatus, waiting: int) -> Sequence[_Notice]:
    notices = []
    if situation.stop is not None:
        title = "Drafting is stopped:"
        reason = stopped_reason(situation.stop).with_suffix(
            " Studies are received and wait. An administrator starts it again on the page Models."
        )
        notices.append(_Notice(weight="bad", title=title, reason=reason))
    if situation.database_fault:
        reason = StatusReason(situation.database_fault)
        title = "The database cannot be written, and no image is accepted:"
        notices.append(_Notice(weight="bad", title=title, reason=reason))
    stakes = f" {waiting} {'study waits' if waiting == 1 else 'studies wait'}." if waiting else ""
    for role in situation.roles.values() or (ProcessRole.READING,):
        absent = situation.absent(role)
        if absent is not None:
            first = role == ProcessRole.READING
            title = "Nothing is read now:" if first else "Nothing is read by one of the models now:"
            reason = absent.with_suffix(stakes if first else "")
            notices.append(_Notice(weight="bad", title=title, reason=reason))
    if situation.broker_fault:
        reason = StatusReason(situation.broker_fault)
        is_full_or_read_only = situation.broker_fault.startswith(NOT_ACCEPTING)
        title = f"{'Jobs wait' if is_full_or_read_only else 'The message broker is unavailable'}:"
        notices.append(_Notice(weight="bad", title=title, reason=reason))
    elif situation.cut_off_sentence:
        reason = StatusReason(f"{situation.cut_off_sentence}{stakes}")
        title = "A worker has no connection to the message broker:"
        notices.append(_Notice(weight="bad", title=title, reason=reason))
    return notices
