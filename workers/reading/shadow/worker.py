"""The process of a shadow model: `wetread worker --queues reading --model NAME` with `shadow = true`.

It uses no broker: the database has its queue. It runs at a low priority of the operating system, so
that the processes that read for results come first also for the processor.
"""

import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from service.errors import ReadingError, StoreError
from service.log import get_logger
from service.monitoring.heartbeat import Heartbeat
from service.monitoring.model_start import note_failure, note_loaded, note_success
from service.queue.names import shadow_role
from service.receiver.calling_aes import CallingAEs, incident_reporter
from service.records import ProcessStatus, StatusReport
from service.settings.config import Settings, config_path, load_settings
from service.store import Store
from service.system.signals import on_sighup, stop_event
from service.system.supervisor import REPLACE_ME
from workers.reading.model_facts import facts_of
from workers.reading.reader import Reader
from workers.reading.shadow.shadowing import Shadowing

log = get_logger(__name__)

_NICE: Final = 10
_LOOK_SECONDS: Final = 1.0


def serve(settings: Settings, work_on: Callable[[Any, Any], Exception | None]) -> None:
    """Read in the shadow until SIGTERM or SIGINT.

    Args:
        settings: The settings with the shadow model's table as `reading`.
        work_on: Works on a claim and returns the error that its state now records, or None.

    Raises:
        StoreError: The database does not answer, or is at another revision.
        ReadingError: The model cannot be loaded.
    """
    os.nice(_NICE)
    stop = stop_event()
    role = shadow_role(settings.model_name)
    owner = f"{role}@{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    with closing(Store.open(settings)) as store:
        heartbeat = Heartbeat(store, [role], StatusReport(status=ProcessStatus.LOADING))
        with heartbeat.beating() as heart:
            reader = _loaded(settings, store, role)
            path = config_path()
            report = incident_reporter(store, path, owner)
            callers = CallingAEs(settings, path, load_settings, report)
            on_sighup(callers.request_reload)
            heart.report(StatusReport("ready"))
            log.info("worker_ready", queue=role)
            shadowing = Shadowing(store, settings, reader, owner, stop, callers.look_up_reloaded)
            _run(shadowing, stop, work_on)
    log.info("worker_stopped", queue=role)


def _loaded(settings: Settings, store: Store, role: str) -> Reader:
    try:
        reader = Reader.from_settings(
            settings, progress=lambda step: log.info("model_start", step=step)
        )
    except ReadingError as error:
        note_failure(store, role, settings.model_name, str(error))
        raise
    note_success(store, role)
    note_loaded(store, role, settings.model_name, facts_of(reader, settings))
    return reader


def _run(
    shadowing: Shadowing,
    stop: threading.Event,
    work_on: Callable[[Any, Any], Exception | None],
) -> None:
    while not stop.is_set():
        try:
            claim = shadowing.claim()
        except StoreError as error:
            log.warning("claim_failed", reason=str(error))
            claim = None
        if claim is None:
            stop.wait(_LOOK_SECONDS)
            continue
        if shadowing.must_be_replaced(work_on(shadowing, claim)):
            log.error("worker_must_be_replaced", queue="shadow")
            os._exit(REPLACE_ME)
