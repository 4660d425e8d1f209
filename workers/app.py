"""The worker process: one queue, a pool of threads, an orderly shutdown.

Celery delivers ids of jobs and of questions, nothing else. Its own task state is not used: results are
off, and the database makes lost and repeated messages harmless.
"""

import os
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib import import_module
from typing import Any, Final

from celery import Celery, signals

from dicom.library import Library
from service.errors import LeaseLost, ReadingError, StoreError
from service.jobs import ReasonCode
from service.log import get_logger, report_untested_versions
from service.monitoring.heartbeat import Heartbeat
from service.monitoring.model_start import note_failure, note_loaded, note_success
from service.queue import celery_private, kombu_private
from service.queue.job_queue import Queue, celery_app
from service.queue.names import DELIVERY, READING, reading_queues
from service.receiver.calling_aes import CallingAEs, incident_reporter
from service.records import IncidentKind, Job, ProcessStatus, StatusReport
from service.settings.advice import without_effect
from service.settings.config import Settings, config_path, load_settings
from service.settings.destination_factory import DESTINATION_LIBRARIES, destinations
from service.store import Store
from service.system import broker_connection, psycopg_private
from service.system.signals import stop_event
from service.system.socket_limits import (
    REDIS_WORKER_SECONDS,
    redis_transport_options,
)
from service.system.supervisor import REPLACE_ME, Part, PartExit, Supervisor, wetread_command
from workers.broker_watch import READY, BrokerWatch
from workers.delivery.delivering import Delivering
from workers.delivery.pool import DeliveryPool, bulkheads
from workers.final_reports.watch import FinalReportWatch
from workers.reading.questions.lane import QuestionLane
from workers.reading.urgent_lane import UrgentLane
from workers.tasks import register_answer, register_deliver, register_read, work_on

log = get_logger(__name__)

_LAST_SECONDS: Final = 5.0


def serve(settings: Settings, queues: Sequence[str], model: str | None = None) -> None:
    """Serve `queues` ("reading", "delivery") until SIGTERM or SIGINT, then finish the current work.

    `model` is one of `settings.readings()`, or a shadow model; None stands for the model of `[reading]`.

    With more than one queue, this supervises one process for each: deliveries must not wait for
    readings, and a device belongs to one process.

    Raises:
        StoreError: The database does not answer, or is at another revision.
        ConfigurationError: There is no broker, or no such model.
        ReadingError: The model cannot be loaded.
    """
    name = model or settings.reading.model
    own = settings.for_model(name)
    if len(queues) == 1 and queues[0] == READING and name in settings.shadows():
        # Imported here, as in `_registered`: it loads torch.
        import_module("workers.reading.shadow.worker").serve(own, work_on)
    elif len(queues) == 1:
        queue = reading_queues(settings)[name] if queues[0] == READING else queues[0]
        _Worker(own, queue).run()
    else:
        _supervise(settings, queues, name)


def _supervise(settings: Settings, queues: Sequence[str], model: str) -> None:
    parts = [
        Part(name=queue, command=wetread_command("worker", "--queues", queue, "--model", model))
        for queue in queues
    ]
    # Longer than a worker's own shutdown (`_end_in_time`), in which it returns its jobs to the queue.
    limit = settings.receiver.stop_seconds + 2 * _LAST_SECONDS
    Supervisor(parts, on_exit=_note, stop_seconds=limit).run(stop_event())


def _note(ended: PartExit) -> None:
    event = "worker_not_started" if ended.not_started else "worker_died"
    log.error(event, queue=ended.part.name, ended_by=ended.ended_by, reason=ended.not_started)


class _Worker:
    """A process that serves one queue."""

    def __init__(self, settings: Settings, queue: str) -> None:
        self._settings = settings
        self._queue = queue
        self._reads = queue != DELIVERY
        self._store = Store.open(settings)
        self._stopping = threading.Event()
        self._abandon = threading.Event()
        # Unique: a later process on this host must not count as the holder of these leases.
        self._owner = f"{queue}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._app = worker_app(settings)
        path = config_path()
        report = incident_reporter(self._store, path, self._owner)
        self._callers = CallingAEs(settings, path, load_settings, report)

    def run(self) -> None:
        report_untested_versions(*self._libraries())
        starting = (
            StatusReport(status=ProcessStatus.LOADING) if self._reads else StatusReport("starting")
        )
        publisher = Queue(self._settings)
        try:
            heartbeat = Heartbeat(self._store, [self._queue], starting)
            with heartbeat.beating() as heart, self._registered(publisher):
                heart.report(READY)
                watch = self._broker_watch(publisher, heart.report)
                with watch.watching():
                    self._consume(watch.received)
        finally:
            publisher.close()
            self._store.close()
            log.info("worker_stopped", queue=self._queue)

    def _libraries(self) -> Iterator[Library]:
        yield from (
            celery_private.LIBRARY,
            broker_connection.LIBRARY,
            kombu_private.LIBRARY,
            psycopg_private.LIBRARY,
        )
        if not self._reads:
            yield from DESTINATION_LIBRARIES

    def _registered(self, publisher: Queue) -> AbstractContextManager[Any]:
        """Register the tasks of the queue (read and answer, or deliver).

        Returns:
            A context to hold open while messages are consumed.
        """
        if not self._reads:
            return self._deliveries()
        # Imported here because they load torch, which a process that only delivers does not need.
        drafting = import_module("workers.reading.drafting")
        reader = self._reader()
        work = drafting.Drafting(
            self._store,
            self._settings,
            reader,
            publisher.publish,
            self._owner,
            self._abandon,
            self._replace,
            self._callers.look_up_reloaded,
        )
        answering = import_module("workers.reading.questions.answering").Answering(
            self._store,
            self._settings,
            reader,
            self._owner,
            self._abandon,
            self._replace,
            self._callers.look_up_reloaded,
        )
        read, answer = register_read(self._app, work), register_answer(self._app, answering)

        def busy() -> bool:
            taken = work.in_hand + answering.in_hand
            return taken >= self._threads and not self._stopping.is_set()

        kept = ExitStack()
        kept.enter_context(work.watched())
        name = self._settings.model_name
        kept.enter_context(UrgentLane(self._store, name, busy, read).open())
        kept.enter_context(QuestionLane(self._store, name, busy, answer).open())
        return kept

    def _reader(self) -> Any:  # noqa: ANN401 - a Reader, whose module loads torch
        """Return the reader with its model loaded; record in the database whether loading succeeded.

        Raises:
            ReadingError: The model cannot be loaded.
        """
        for sentence in without_effect(self._settings):
            log.warning("setting_without_effect", reason=sentence)
        try:
            reader = import_module("workers.reading.reader").Reader.from_settings(
                self._settings, progress=lambda step: log.info("model_start", step=step)
            )
        except ReadingError as error:
            note_failure(self._store, self._queue, self._settings.model_name, str(error))
            raise
        import_module("workers.reading.text_tower").export_text_tower(self._settings)
        note_success(self._store, self._queue)
        facts = import_module("workers.reading.model_facts").facts_of(reader, self._settings)
        note_loaded(self._store, self._queue, self._settings.model_name, facts)
        return reader

    def _deliveries(self) -> ExitStack:
        """Register the task that delivers; return a context whose exit waits for running deliveries."""
        sending = destinations(self._settings)
        limits = bulkheads(self._settings)
        work = Delivering(
            self._store,
            self._settings,
            sending,
            self._owner,
            self._stopping,
            next_pause=limits.next_pause,
        )
        pool = DeliveryPool(work, limits, partial(work_on, work))
        register_deliver(self._app, pool)
        kept = ExitStack()
        kept.callback(pool.join)
        kept.enter_context(FinalReportWatch(self._store, self._settings).watching())
        return kept

    @property
    def _threads(self) -> int:
        """Size of Celery's thread pool; the urgent lane and the question lane have a thread each."""
        if not self._reads:
            return self._settings.delivery.concurrency
        # More threads than rows: while some jobs are in the model, others decode or write.
        rows = self._settings.reading.concurrency
        return rows + (rows + 1) // 2

    def _broker_watch(self, queue: Queue, report: Callable[[StatusReport], None]) -> BrokerWatch:
        return BrokerWatch(
            waiting=lambda: queue.waiting(self._queue),
            is_full=lambda: self._stopping.is_set() or celery_private.is_full(self._threads),
            report=report,
            replace=self._receives_nothing,
        )

    def _receives_nothing(self, reason: str) -> None:
        try:
            self._store.record_incident(
                actor=self._owner,
                kind=IncidentKind.BROKER_SILENT,
                subject=self._queue,
                detail=f"{reason}.",
            )
        except StoreError as error:
            log.warning("incident_not_recorded", reason=str(error))
        self._replace()

    def _consume(self, received: Callable[[], None]) -> None:
        # Celery warns a root user about pickled messages; this application accepts JSON only.
        warnings.filterwarnings("ignore", message=".*superuser privileges")
        signals.setup_logging.connect(_leave_logging, weak=False)
        signals.worker_shutting_down.connect(self._on_stop, weak=False)
        # From this event on, a signal leads to an orderly shutdown.
        signals.worker_ready.connect(
            lambda **_: log.info("worker_ready", queue=self._queue), weak=False
        )
        signals.task_received.connect(lambda **_: received(), weak=False)
        celery_private.process_class(self._app, self._reload)(
            pool="threads",
            concurrency=self._threads,
            queues=[self._queue],
            hostname=self._owner,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        ).start()

    def _reload(self) -> None:
        self._callers.request_reload()
        # In a thread: the main thread serves the broker and must not wait for the database.
        threading.Thread(target=self._callers.reload_if_changed, name="reload", daemon=True).start()

    def _on_stop(self, **_: Any) -> None:  # noqa: ANN401 - Celery's signal
        """Stop taking messages; after `stop_seconds`, hand back the work that is not finished."""
        self._stopping.set()
        log.info("worker_stopping", queue=self._queue)
        threading.Thread(target=self._end_in_time, name="end", daemon=True).start()

    def _end_in_time(self) -> None:
        threading.Event().wait(self._settings.receiver.stop_seconds)
        self._abandon.set()
        threading.Event().wait(_LAST_SECONDS)
        self._release()
        # A thread that hangs in a driver or a socket would keep the process alive.
        os._exit(0)

    def _replace(self) -> None:
        """Hand back the held work and exit with REPLACE_ME, so that a supervisor starts a process."""
        log.error("worker_must_be_replaced", queue=self._queue)
        # Exit even if the database does not answer.
        threading.Timer(_LAST_SECONDS, os._exit, [REPLACE_ME]).start()
        self._release()
        os._exit(REPLACE_ME)

    def _release(self) -> None:
        """Hand back the jobs, deliveries and questions that this process still holds."""
        try:
            self._store.take_back_deliveries(self._store.now(), owner=self._owner)
            self._store.hand_back_questions(self._owner)
            for job in self._store.held_by(self._owner):
                self._hand_back(job)
        except StoreError as error:
            log.warning("hand_back_failed", reason=str(error))

    def _hand_back(self, job: Job) -> None:
        reason = "Its worker was stopped."
        try:
            self._store.hand_back(
                job.id, job.fence, ReasonCode.WORKER_STOPPED, reason, counted=False
            )
        except LeaseLost as error:
            # Its thread or the sweeper was first, or a user canceled it; go on with the other jobs.
            log.info("given_back_already", reason=str(error))


def worker_app(settings: Settings) -> Celery:
    """Return a worker's Celery application: late acknowledgement, one message per thread, our logs."""
    app = celery_app(settings)
    app.conf.update(
        task_acks_late=True,
        task_acks_on_failure_or_timeout=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
    )
    app.conf.broker_transport_options |= {
        # Seconds until Redis redelivers a lost worker's message; the sweeper publishes sooner.
        "visibility_timeout": 3600,
        **redis_transport_options(REDIS_WORKER_SECONDS),
    }
    celery_private.connect_again_soon(app)
    return app


def _leave_logging(**_: Any) -> None:  # noqa: ANN401 - Celery's signal
    """Do nothing: with a receiver connected, Celery leaves the logging of `service.log` alone."""
