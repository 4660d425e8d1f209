"""The content of the queue's page, as a Snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.jobs import ALARMS, DraftStatus, JobState
from service.queue.broker_health import NOT_ACCEPTING
from service.records import ArrivingStudy, Job, ProcessRole
from service.settings.config import Settings
from service.store import Store
from service.store.job_lists.listing import MOST_COUNTED
from service.web.app_context import AppContext
from service.web.queue.filters import QueueChoice
from service.web.render import Snapshot, part
from service.web.status.queue_overview import QueueOverview
from service.web.status.short_reason import short_reason
from service.web.status.status_text import StatusReason, SystemStatus, stopped_reason, why

PAGE_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notice:
    weight: str
    title: str
    reason: StatusReason


def listed_jobs(store: Store, choice: QueueChoice) -> list[Job]:
    """Return the jobs of one page, newest first, and one more if older ones exist."""
    wanted = choice.job_filter(store.now())
    return store.list_jobs(wanted, limit=PAGE_LENGTH + 1, before=choice.before)


def queue_snapshot(here: AppContext, choice: QueueChoice, *, acts: bool = False) -> Snapshot:
    """Return the queue as it is now.

    Args:
        here: The shared objects of this process.
        choice: Which jobs are listed.
        acts: Whether the person may act: test a destination, choose jobs for a batch.
    """
    situation, overview = here.observer.situation(), here.queue.overview()
    found = listed_jobs(here.store, choice)
    jobs = found[:PAGE_LENGTH]
    rows = _rows(here.store, jobs, situation, acts=acts)
    is_cut = len(found) > PAGE_LENGTH
    parts = {
        "notices": part("notices", notices=_all_notices(situation, overview)),
        "counts": _counts(overview, choice),
        "failures": part("failures", groups=overview.failures, acts=acts),
        "empty": part(
            "empty",
            total=0 if overview.is_empty else 1,
            listed=len(jobs),
            is_cut=is_cut,
            choice=choice,
            hints=_hints(here.settings, choice) if not jobs else (),
            receiver=here.settings.receiver,
        ),
        "arriving": part("arriving", studies=_arriving(overview, choice)),
        "processes": part(
            "processes",
            processes=[(each, situation.alive(each)) for each in situation.processes],
        ),
        "destinations": part("destinations", destinations=overview.destinations, acts=acts),
        "incidents": part("incidents", incidents=overview.incidents),
        "refusals": part("refusals", refusals=overview.refusals),
        **rows,
    }
    return Snapshot(parts=parts, order=tuple(rows), older_than=jobs[-1].id if is_cut else "")


def _rows(
    store: Store, jobs: Sequence[Job], situation: SystemStatus, *, acts: bool
) -> dict[str, Markup]:
    deliveries = store.deliveries_of(job for job in jobs if job.state is JobState.DRAFTED)
    return {
        f"job-{job.id}": part(
            "row",
            job=job,
            reason=short_reason(job, deliveries.get(job.id, ()), situation),
            whole=why(job, deliveries.get(job.id, ()), situation),
            acts=acts,
        )
        for job in jobs
    }


def _counts(overview: QueueOverview, choice: QueueChoice) -> Markup:
    counts = overview.counts
    numbers = [counts.get(state, 0) for state in JobState]
    is_cut = any(number > MOST_COUNTED for number in numbers)
    total = sum(min(number, MOST_COUNTED) for number in numbers)
    return part(
        "counts",
        total=f"{total:,}{'+' if is_cut else ''}",
        chosen=choice.state,
        filtered=choice.is_filtered,
        counts=[(state, _bounded(counts.get(state, 0))) for state in JobState],
        alarms=[(each, _bounded(counts[each])) for each in ALARMS if counts.get(each)],
    )


def _bounded(number: int) -> str:
    """Return a count as text; "10,000+" for one that ended at its bound."""
    return f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"


def _hints(settings: Settings, choice: QueueChoice) -> Sequence[str]:
    """Return why a filter may match nothing: a name that the settings do not have."""
    known = {
        "destination": [each.name for each in settings.destinations],
        "model": list(settings.readings()),
    }
    return [
        f"No {name} named {value} is configured; configured are: {', '.join(names) or 'none'}."
        for name, names in known.items()
        if (value := getattr(choice, name)) and value not in names
    ]


def _all_notices(situation: SystemStatus, overview: QueueOverview) -> Sequence[_Notice]:
    counts = overview.counts
    return [
        *_notices(situation, counts.get(JobState.SCHEDULED, 0)),
        *_in_doubt(counts.get(DraftStatus.IN_DOUBT, 0)),
        *(_Notice(weight=w, title=t, reason=r) for w, t, r in overview.notices),
    ]


def _in_doubt(count: int) -> Sequence[_Notice]:
    if not count:
        return ()
    subject = "1 draft is" if count == 1 else f"{_bounded(count)} drafts are"
    reason = StatusReason(
        f"{subject} about an image of which a corrected or conflicting copy was received. Verify "
        "patient, order and image."
    )
    return (_Notice(weight="bad", title="Drafts in doubt:", reason=reason),)


def _arriving(overview: QueueOverview, choice: QueueChoice) -> Sequence[ArrivingStudy]:
    """Return the studies without a job yet; only the first page of all jobs shows them."""
    return () if choice.query or choice.before else overview.arriving


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
    studies = "study waits" if waiting == 1 else "studies wait"
    stakes = f" {_bounded(waiting)} {studies}." if waiting else ""
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
