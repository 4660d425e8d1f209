"""The sweeper: work that is due by time, and work that a lost process, Redis or sender left undone.

Each tick does these steps in this order. Several sweepers may run at once: each step is a conditional
change that only one of them can make.

1. Make the jobs of studies whose quiet time is over.
2. Take back jobs whose worker is silent; a job to which that happened too often fails.
3. Do the same with deliveries.
4. Let jobs wait again that got a notice while drafting was stopped. Publish jobs and deliveries that
   are due and have no message in the queue. Take back, give up and publish questions about images.
5. Each minute, and when the clock was set back: correct times from a clock that was ahead, delete silent
   processes, and record incidents: no worker for waiting jobs, a token that expires, a destination that
   takes no results or stays paused. Notify the authors of verified reports. Match final reports that
   waited. Count the Instances of each calling AE.
6. If the disk fills up, record incidents and remove studies that every destination has confirmed.
7. Record the patients of new studies.
8. Each minute: remove old files, once the clock can be trusted, and files of void claims.

Steps that need the disk come last, so that an error of the disk delays no other step.
"""

import socket
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import Final

from service.errors import BrokerUnavailable, LeaseLost, NotFound, StoreUnavailable
from service.jobs import LONGEST_WAIT, ReasonCode
from service.log import get_logger, report_untested_versions
from service.maintenance.retention import Retention
from service.maintenance.study_identities import StudyIdentityReader
from service.monitoring.audit_trail import note_settings
from service.monitoring.background import Task
from service.monitoring.destination_incidents import DestinationIncidents
from service.monitoring.heartbeat import Heartbeat
from service.monitoring.syslog_export import SyslogExport
from service.monitoring.token_expiry import TokenExpiry
from service.queue import kombu_private
from service.queue.job_queue import Queue
from service.queue.names import DELIVERY, queue_of
from service.queue.publishing import publish_jobs
from service.receiver.calling_aes import CallingAEs, incident_reporter, job_request
from service.records import IncidentKind, Job, ProcessRole, ProcessStatus, StatusReport
from service.settings.config import Settings, config_path, load_settings
from service.settings.keys.sections import Caller
from service.stated_time import stated
from service.store import Store
from service.sweeper.clock_guard import ClockGuard, since_boot
from service.sweeper.commitment_sender import CommitmentSender
from service.sweeper.disk_pressure import DiskPressure
from service.sweeper.doubts import Doubts, compare_until
from service.sweeper.drift import DriftMonitor, watch_until
from service.sweeper.hourly_figures import FigureUpdater, keep_until
from service.sweeper.notifier import Notifier, notify_until
from service.sweeper.outages import LeaseVerdict, Outages
from service.sweeper.outbox_cleanup import OutboxCleanup
from service.sweeper.probe_thread import probe_until
from service.sweeper.question_sweep import QuestionSweep
from service.system import broker_connection, psycopg_private
from service.system.signals import stop_event

log = get_logger(__name__)

_SILENT_SECONDS: Final = 60.0
_TIDY: Final = timedelta(seconds=60)
_MOST_SLICES: Final = 10
# These end a tick: without the database or the disk the following steps cannot be done either.
_AWAY: Final = (StoreUnavailable, OSError)


class Sweeper:
    """Does the steps above, once for each `tick`."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        publish: Callable[[Job], None],
        queued_job_ids: Callable[[str], Collection[str]] = lambda _: (),
        callers: Callable[[str], Caller | None] | None = None,
        passed: Callable[[], float] = since_boot,
        questions: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        """Take the store, the settings, and the functions that publish jobs and look into the queues.

        Args:
            store: The store.
            settings: The settings.
            publish: Sends a job's id to the workers; raises BrokerUnavailable.
            queued_job_ids: Returns the ids of jobs with a message in a queue; raises BrokerUnavailable.
            callers: Returns the settings of a calling AE title; those in `settings` when None.
            passed: Returns seconds by a clock that cannot be set.
            questions: Does what is due now with questions about images (`QuestionSweep.sweep`).
        """
        self._callers = callers or settings.caller
        self._store = store
        self._settings = settings
        self._publish = publish
        self._queued_job_ids = queued_job_ids
        self._retention = Retention(store, settings)
        self._disk = DiskPressure(store, settings, self._retention)
        self._identities = StudyIdentityReader(store)
        self._outbox = OutboxCleanup(store, settings)
        self._clock_guard = ClockGuard(store, settings, passed)
        self._tokens = TokenExpiry(store)
        self._destinations = DestinationIncidents(store, settings)
        self._outages = Outages(settings.reading.lease_seconds)
        self._questions = questions
        self._tasks: dict[str, Task] = {}
        self._tidied_at: datetime | None = None
        self._removal_is_due = False
        self._reported_missing: set[str] = set()

    def tick(self) -> None:
        """Do once what is due now, by the store's clock.

        Raises:
            StoreUnavailable: The database does not answer; the next tick continues from there.
            OSError: The disk failed; all steps that need only the database were done.
        """
        now = self._store.now()
        self._do("complete studies", self._complete_quiet, now)
        self._do("take back jobs", self._take_back, now)
        self._do("take back deliveries", self._take_back_deliveries, now)
        self._do("requeue after a stop of drafting", lambda _: self._store.requeue_stopped(), now)
        self._do("publish", self._publish_due, now)
        self._do("questions", self._questions, now)
        # A time before the last one means that the clock was set back.
        tidies = self._tidied_at is None or not self._tidied_at <= now < self._tidied_at + _TIDY
        if tidies:
            self._tidied_at = now
            self._tidy(now)
        self._do("watch the disk", self._disk.check, now)
        self._do("record patients", lambda _: self._identities.record_new(), now)
        # Tried each tick, so that it is done as soon as the clock can be trusted, not a minute later.
        if self._removal_is_due and self._clock_guard.check(now):
            self._removal_is_due = False
            self._do("remove old files", self._retention.remove_old, now)
        if tidies:
            self._do("remove void claims", self._outbox.remove_void_claims, now)

    @property
    def failing(self) -> list[str]:
        """Names of the steps whose latest run failed with an unforeseen error."""
        return [name for name, task in self._tasks.items() if task.fault]

    def _do(self, name: str, step: Callable[[datetime], object], now: datetime) -> None:
        """Do one step; an unforeseen error in it is logged, and the other steps are still done."""
        self._task(name).attempt(partial(step, now))

    def _task(self, name: str) -> Task:
        return self._tasks.setdefault(name, Task(name, passed_on=_AWAY))

    def _tidy(self, now: datetime) -> None:
        self._do("correct the clock", self._correct_future_times, now)
        self._do("remove silent processes", self._remove_silent_processes, now)
        self._do("report missing workers", self._report_missing_workers, now)
        self._do("watch tokens", lambda _: self._tokens.check(), now)
        self._do("notify authors", lambda _: self._notify_authors(), now)
        self._do("watch destinations", lambda _: self._destinations.check(), now)
        self._do("match final reports", lambda _: self._match_final_reports(), now)
        self._do("release withheld drafts", self._release_withheld, now)
        self._do("count arrivals", lambda _: self._count_arrivals(), now)
        self._do("forget requests", lambda _: self._store.forget_requests(), now)
        self._removal_is_due = True

    def _match_final_reports(self) -> None:
        count = self._store.match_waiting_reports(self._settings.final_reports.taking)
        if count:
            log.info("final_reports_matched", count=count)

    def _release_withheld(self, now: datetime) -> None:
        count = self._store.release_withheld(now)
        if count:
            log.info("withheld_drafts_released", count=count)

    def _count_arrivals(self) -> None:
        # A limit, because after an upgrade all Instances of the past are to be counted.
        for _ in range(_MOST_SLICES):
            if not self._store.count_arrivals():
                return

    def _take_back_deliveries(self, now: datetime) -> None:
        if self._store.take_back_deliveries(now):
            log.warning("deliveries_taken_back")

    def _correct_future_times(self, now: datetime) -> None:
        reading, delivery = self._settings.reading, self._settings.delivery
        count = self._store.correct_future_times(
            now,
            lease=timedelta(seconds=max(reading.lease_seconds, delivery.lease_seconds)),
            wait=timedelta(seconds=max(LONGEST_WAIT, delivery.retry_max_seconds)),
        )
        if count:
            log.warning("future_times_corrected", made_due=count)

    def _complete_quiet(self, now: datetime) -> None:
        quiet = self._store.quiet_studies(now)
        senders = self._store.senders(quiet)
        chosen = self._store.chosen_models(quiet, self._settings.readings())

        def complete(study_uid: str) -> None:
            self._complete_one(study_uid, senders.get(study_uid, ""), chosen.get(study_uid, ""))

        self._task("schedule studies").attempt_each(complete, quiet)

    def _complete_one(self, study_uid: str, sender: str, chosen: str) -> None:
        caller = self._callers(sender)
        request = job_request(self._settings, caller, study_uid, sender, chosen=chosen)
        for job in self._store.schedule_all(
            [request], actor="sweeper", reason="No further image arrived within the quiet time."
        ):
            log.info("job_scheduled", job_id=job.id, study_uid=study_uid)
            publish_jobs(self._store, self._publish, job)

    def _take_back(self, now: datetime) -> None:
        lapsed = self._store.lapsed(now)
        self._outages.update(now)
        beats = self._store.processes() if lapsed else []

        def take_back(job: Job) -> None:
            # The worker may have extended its lease, or a person or another sweeper moved the job.
            with suppress(LeaseLost, NotFound):
                self._take_back_one(job, self._outages.verdict_on(job, beats, now), now)

        self._task("take back lapsed jobs").attempt_each(take_back, lapsed)

    def _take_back_one(self, job: Job, verdict: LeaseVerdict, now: datetime) -> None:
        if verdict is LeaseVerdict.UNKNOWN:
            return
        if verdict is LeaseVerdict.LIVES:
            reason = "The database was unavailable for longer than its worker's lease."
            self._store.hand_back(
                job.id, job.fence, ReasonCode.LEASE_EXPIRED, reason, counted=False, lapsed_at=now
            )
            log.info("lease_expired_worker_alive", job_id=job.id, owner=job.lease_owner)
            return
        log.warning("worker_lost", job_id=job.id, owner=job.lease_owner, attempts=job.attempts)
        if job.attempts >= self._settings.reading.max_attempts:
            reason = f"Its worker was lost {job.attempts} times; the study may crash the worker."
            self._store.give_up(job.id, job.fence, ReasonCode.WORKER_LOST, reason, now)
            return
        reason = f"Its worker {job.lease_owner} was lost."
        self._store.hand_back(job.id, job.fence, ReasonCode.LEASE_EXPIRED, reason, lapsed_at=now)

    def _publish_due(self, now: datetime) -> None:
        published_before = now - timedelta(seconds=self._settings.sweep.republish_seconds)
        # While drafting is stopped a worker takes jobs only to send notices.
        paused = self._store.drafting_stop() is not None and not self._notifies
        readings = [] if paused else self._store.due_readings(now, published_before)
        deliveries = self._store.due_deliveries(now, published_before)
        if not readings and not deliveries:
            return
        unpublished = [job for job in readings if job.published_at is None]
        stale = [job for job in readings if job.published_at is not None]
        again = [job for _, job, published_at in deliveries if published_at is not None]
        try:
            unseen = _without(self._queued_job_ids, self._queue_of, stale)
            unseen += _without(self._queued_job_ids, lambda _: DELIVERY, again)
        except BrokerUnavailable as error:
            log.warning("broker_unavailable", reason=str(error), waiting=len(readings))
            return
        unpublished += [job for _, job, published_at in deliveries if published_at is None]
        self._store.mark_published(
            [job.id for job in readings], [number for number, _, _ in deliveries], now
        )
        # Marked before sending: if a worker claims a job and hands it back at once, it clears the mark,
        # which a later write here would set again.
        self._send_all(unpublished + unseen)

    @property
    def _notifies(self) -> bool:
        return any(each.not_analysed for each in self._settings.destinations)

    def _queue_of(self, job: Job) -> str:
        return queue_of(self._settings, job.model_name)

    def _send_all(self, jobs: list[Job]) -> None:
        for number, job in enumerate(jobs):
            if not publish_jobs(self._store, self._publish, job):
                # Redis is away: mark the others instead of waiting for its time limit with each.
                for later in jobs[number + 1 :]:
                    self._store.mark_unpublished(later.id)
                return

    def _report_missing_workers(self, now: datetime) -> None:
        """Record one incident for each model for which jobs wait and no worker is alive."""
        alive = {beat.role for beat in self._store.processes() if not beat.load_failure}
        waiting = self._store.waiting_models(now - _TIDY)
        missing = {model for model in waiting if queue_of(self._settings, model) not in alive}
        for model in sorted(missing - self._reported_missing):
            log.warning("no_worker", model=model)
            self._store.record_incident(
                actor="sweeper",
                kind=IncidentKind.NO_WORKER,
                subject=model,
                detail=f"Jobs wait for the model {model} and no worker of it is alive.",
            )
        self._reported_missing = missing

    def _notify_authors(self) -> None:
        """Notify authors of verified reports of what happened to draft or delivery since."""
        for notice in self._store.notify_authors():
            log.warning("author_notified", decision_id=notice.decision_id, kind=notice.kind)
        self._store.forget_opens()

    def _remove_silent_processes(self, now: datetime) -> None:
        before = now - timedelta(seconds=_SILENT_SECONDS)
        for beat in self._store.remove_silent_processes(before):
            log.warning("process_silent", name=beat.name, seen_at=beat.seen_at.isoformat())
            self._store.record_incident(
                actor="sweeper",
                kind=IncidentKind.PROCESS_SILENT,
                subject=beat.name,
                detail=f"It was last seen at {stated(beat.seen_at)} and has not signed off.",
            )


def _without(
    queued_job_ids: Callable[[str], Collection[str]], queue: Callable[[Job], str], jobs: list[Job]
) -> list[Job]:
    """Return the jobs that have no message in their queue."""
    seen = {name: queued_job_ids(name) for name in {queue(job) for job in jobs}}
    return [job for job in jobs if job.id not in seen[queue(job)]]


class SweepLoop:
    """Runs ticks, and reports when the disk hinders them."""

    def __init__(self, sweeper: Sweeper, report: Callable[[StatusReport], None]) -> None:
        """Take the sweeper, and the function that reports its status when that changes."""
        self._sweeper = sweeper
        self._report = report
        self._hindrance = ""

    def run_once(self) -> None:
        """Tick once; errors of the database or the disk are logged, and the next tick tries again."""
        try:
            self._sweeper.tick()
        except StoreUnavailable as error:
            log.warning("store_unavailable", reason=str(error))
        except OSError as error:
            self._report_hindrance(error.strerror or type(error).__name__)
        else:
            self._report_hindrance("")

    def _report_hindrance(self, hindrance: str) -> None:
        if hindrance == self._hindrance:
            return
        self._hindrance = hindrance
        if hindrance:
            log.error("sweeper_hindered", reason=hindrance)
        else:
            log.info("sweeper_recovered")
        status = ProcessStatus.HINDERED if hindrance else ProcessStatus.WORKING
        self._report(StatusReport(status=status, reason=hindrance))


def serve(settings: Settings) -> None:
    """Sweep until SIGTERM or SIGINT.

    Raises:
        StoreUnavailable: The database does not answer at the start.
        SchemaMismatch: The database is not at the revision that this code needs.
        ConfigurationError: No broker is configured.
    """
    report_untested_versions(
        broker_connection.LIBRARY, kombu_private.LIBRARY, psycopg_private.LIBRARY
    )
    store, queue = Store.open(settings), Queue(settings)
    callers = CallingAEs(
        settings, config_path(), load_settings, incident_reporter(store, config_path(), "sweep")
    )
    questions = QuestionSweep(store, settings, queue.publish_question)
    sweeper = Sweeper(
        store,
        settings,
        queue.publish,
        queue.queued_job_ids,
        callers,
        questions=questions.sweep,
    )
    # The same after a restart, so that the claims of an earlier run are released at once. A second
    # sweeper on this host releases those of the first at its start: a report may then be sent twice,
    # which a peer must accept in any case.
    owner = f"{ProcessRole.SWEEPER}@{socket.gethostname()}"
    commitments = CommitmentSender(store, settings, owner, callers)
    callers.reload_on_sighup()
    stop = stop_event()
    try:
        note_settings(store, settings)
        store.note_version(version("wetread"))
        export = SyslogExport(store, settings)
        with Heartbeat(store, [ProcessRole.SWEEPER]).beating() as beat, export.running():
            loop = SweepLoop(sweeper, beat.report)
            log.info("sweeper_started")
            _start_threads(store, settings, owner, stop)
            commitments.start()
            reload = Task("reload the callers")
            while not stop.wait(settings.sweep.interval):
                reload.attempt(callers.reload_if_changed)
                loop.run_once()
    finally:
        commitments.stop()
        queue.close()
        store.close()
        log.info("sweeper_stopped")


def _start_threads(store: Store, settings: Settings, owner: str, stop: threading.Event) -> None:
    """Start what takes too long for a tick, or must not wait for one: each in a thread until `stop`."""
    threads: dict[str, Callable[[], None]] = {
        "doubts": partial(compare_until, Doubts(store, settings), stop),  # decodes pixel data
        "figures": partial(keep_until, FigureUpdater(store), stop),
        "drift": partial(watch_until, DriftMonitor(store), stop),
        "probe": partial(probe_until, store, settings, owner, stop),
        "notify": partial(notify_until, Notifier(store, settings), stop),
    }
    for name, target in threads.items():
        threading.Thread(target=target, name=name, daemon=True).start()
