"""The parts of the overview, as a Snapshot."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from service.jobs import DraftStatus, JobState
from service.monitoring.alert_rules import title_of
from service.monitoring.destination_incidents import alert_after, backlogs
from service.monitoring.overview_figures import Span
from service.throughput.balance import Balance, JobClass, StudyClass
from service.web.alerting.view import open_alerts
from service.web.app_context import AppContext
from service.web.overview.charts import charts, marked_changes
from service.web.overview.failures_view import failure_lines
from service.web.overview.faults import Known, faults
from service.web.overview.parts import destination_tiles, part_tiles
from service.web.render import Snapshot, part

# Word, number, address from the root of the jobs in this class ("" without one).
Term = tuple[str, int, str]

# Classes that are shown also where nothing is in them.
_STUDIES: Final = frozenset(StudyClass) - {
    StudyClass.WITHDRAWN,
    StudyClass.NO_IMAGE,
    StudyClass.UNACCOUNTED,
}
_JOBS: Final = frozenset(JobClass) - {JobClass.WITHDRAWN, JobClass.OTHER}
_MOST_SOURCES: Final = 12
_STUDY_WORDS: Final = {
    StudyClass.NO_IMAGE: "without an image to read",
    StudyClass.UNACCOUNTED: "unaccounted for",
}
# By the class of a job; the classes of studies of the same name lead to the same jobs.
_STATES: Final[Mapping[str, JobState]] = {
    JobClass.DELIVERED: JobState.COMPLETED,
    JobClass.DELIVERING: JobState.DRAFTED,
    JobClass.WAITING: JobState.SCHEDULED,
    JobClass.READING: JobState.IN_PROGRESS,
    JobClass.FAILED: JobState.FAILED,
    JobClass.NOT_ANALYZED: JobState.NOT_ANALYSED,
    JobClass.CANCELED: JobState.CANCELED,
}


def overview_snapshot(here: AppContext, span: Span) -> Snapshot:
    """Return the overview as it is now.

    Raises:
        StoreError: The database does not answer.
    """
    situation, figures = here.observer.situation(), here.overview.figures(span)
    waiting = backlogs(here.store, here.settings)
    limit = alert_after(here.settings)
    tiles = [
        *part_tiles(here.settings, situation),
        *destination_tiles(waiting, here.store.now(), limit),
    ]
    queue = here.queue.overview()
    failures = failure_lines(queue.failures, here.store.undelivered_groups())
    known = Known(
        situation=situation,
        tiles=tiles,
        unaccounted=figures.unaccounted,
        failures=failures,
        waiting=figures.depth.waiting,
        destinations=waiting,
        in_doubt=queue.counts.get(DraftStatus.IN_DOUBT, 0),
    )
    drawn = charts(figures, here.settings.web.latency_target_seconds)
    parts = {
        "faults": part("overview/faults", faults=faults(here.store, here.settings, known)),
        "alerts": part("overview/alerts", alerts=open_alerts(here.store), title_of=title_of),
        "balance": part(
            "overview/balance",
            span=span,
            balance=figures.balance,
            studies=_study_terms(figures.balance),
            jobs=_job_terms(figures.balance),
            unaccounted=figures.unaccounted,
            missing_hours=figures.missing_hours,
        ),
        "parts": part("overview/tiles", tiles=tiles),
        **{f"chart-{each.key}": part("overview/chart", chart=each) for each in drawn},
        "changes": part("overview/changes", changes=marked_changes(figures), span=span),
        "sources": part(
            "overview/sources",
            span=span,
            callers=_largest(figures.callers),
            models=_largest(figures.models),
        ),
        "failures": part("overview/failures", failures=failures),
    }
    return Snapshot(parts=parts)


def _largest(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    """Return the largest counts, the others as one."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    others = sum(count for _, count in ordered[_MOST_SOURCES:])
    return [*ordered[:_MOST_SOURCES], *([("others", others)] if others else [])]


def _study_terms(balance: Balance) -> Sequence[Term]:
    return [
        (_STUDY_WORDS.get(each, each.value), balance.studies.get(each, 0), _queue_url(each))
        for each in StudyClass
        if each in _STUDIES or balance.studies.get(each)
    ]


def _job_terms(balance: Balance) -> Sequence[Term]:
    return [
        (each.value, balance.jobs.get(each, 0), _queue_url(each))
        for each in JobClass
        if each in _JOBS or balance.jobs.get(each)
    ]


def _queue_url(each: StudyClass | JobClass) -> str:
    state = _STATES.get(each)
    return f"queue?{urlencode({'state': state.value})}" if state else ""
