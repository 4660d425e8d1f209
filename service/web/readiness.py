"""The health of every part that a Study needs, for `/readyz`.

The endpoint needs no password, because probes send none: its sentences name no patient, no study, no
address and no user. Many requests do not load the service: those at the same time share one check of
each part.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from service.database import schema
from service.destination_backlog import Backlog
from service.errors import ConfigurationError, SchemaMismatch, StoreError, StoreNotWritable
from service.monitoring.destination_incidents import alert_after, backlogs
from service.monitoring.probe_health import readiness_of_probe
from service.queue.broker_health import check_broker
from service.queue.names import reading_queues
from service.records import ProcessStatus
from service.sentence import capitalized, sentence_of
from service.settings.config import Settings
from service.store import Store
from service.system.disk_space import Watermark, free_bytes
from service.web.status.status_text import SystemStatus

FRESH_SECONDS: Final = 1.0
# An orchestrator's probe must get its answer within 10 s, even if a part does not answer.
ANSWER_SECONDS: Final = 8.0

_SILENT: Final = "The database does not answer."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """The health of one part; `fault` is a sentence, or "" if the part works."""

    name: str
    fault: str


class SharedCheck(Generic[T]):
    """Calls a blocking function in a thread; concurrent callers share the call, its result is cached."""

    def __init__(self, look: Callable[[], T], *, fresh_seconds: float) -> None:
        """Take the function and the time for which its result is reused."""
        self._look = look
        self._fresh_seconds = fresh_seconds
        self._running: asyncio.Task[T] | None = None
        self._ended_at = float("-inf")

    async def get(self, limit_seconds: float) -> T:
        """Return the result of the function.

        Raises:
            TimeoutError: The call takes longer than `limit_seconds`. It goes on, and later callers wait
                for the same call.
        """
        running = self._running
        if running is None or (running.done() and not self._is_fresh()):
            running = self._running = asyncio.create_task(self._call())
        # Shielded: the timeout of one caller must not cancel the call that others wait for.
        return await asyncio.wait_for(asyncio.shield(running), limit_seconds)

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._ended_at < self._fresh_seconds

    async def _call(self) -> T:
        try:
            return await asyncio.to_thread(self._look)
        finally:
            self._ended_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """The result of checking the database; the other fields are empty if it does not answer.

    Attributes:
        fault: A sentence, or "".
        situation: The state of the processes as they report it, or None.
        destinations: Each destination's state, by name.
        probe: The state of the end-to-end check.
    """

    fault: str
    situation: SystemStatus | None
    destinations: dict[str, dict[str, Any]]
    probe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpoolHealth:
    """The spool's fault, a sentence or "", and the level of its disk, as the API names it."""

    fault: str
    disk: str


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Every part's health, with the state of disk, destinations and drafting."""

    parts: tuple[PartHealth, ...]
    disk: str
    destinations: dict[str, dict[str, Any]]
    drafting: dict[str, str | bool]
    probe: dict[str, Any] = field(default_factory=dict)


class Readiness:
    """Checks all parts concurrently, each with a time limit; use it from one event loop only."""

    def __init__(
        self, store: Store, settings: Settings, *, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        """Take what to check, and the time in seconds for which a result is reused."""
        self._database = SharedCheck(
            lambda: check_database(store, settings), fresh_seconds=fresh_seconds
        )
        self._broker = SharedCheck(lambda: broker_fault(settings), fresh_seconds=fresh_seconds)
        self._spool = SharedCheck(lambda: check_spool(settings), fresh_seconds=fresh_seconds)

    async def report(self, limit_seconds: float = ANSWER_SECONDS) -> ReadinessReport:
        """Return each part's health; a part whose check takes longer than the limit is at fault."""
        slow = f"gave no answer within {limit_seconds:g} s."
        database, broker, spool = await asyncio.gather(
            _within(
                self._database, limit_seconds, DatabaseHealth(f"The database {slow}", None, {})
            ),
            _within(self._broker, limit_seconds, f"Redis {slow}"),
            _within(self._spool, limit_seconds, SpoolHealth(f"The spool's disk {slow}", "unknown")),
        )
        situation = database.situation
        cut_off = situation.cut_off_sentence if situation else ""
        parts = (
            PartHealth(name="database", fault=database.fault),
            PartHealth(name="broker", fault=broker or cut_off),
            PartHealth(name="spool", fault=spool.fault or _complaint(situation)),
            PartHealth(name="reading_worker", fault=_reader_fault(situation)),
            PartHealth(name="background_tasks", fault=background_fault(situation)),
        )
        drafting = drafting_health(situation)
        return ReadinessReport(parts, spool.disk, database.destinations, drafting, database.probe)


async def _within(look: SharedCheck[T], limit_seconds: float, otherwise: T) -> T:
    try:
        return await look.get(limit_seconds)
    except TimeoutError:
        return otherwise


def check_database(store: Store, settings: Settings) -> DatabaseHealth:
    """Return the result of checking the database; make no further query if it does not answer."""
    fault = database_fault(settings) or writing_fault(store)
    if fault == _SILENT:
        return DatabaseHealth(fault, None, {})
    return DatabaseHealth(
        fault,
        _situation(store, settings),
        destination_health(store, settings),
        readiness_of_probe(store, settings),
    )


def check_spool(settings: Settings) -> SpoolHealth:
    """Return whether images can be stored now, and the step of the disk's watermark."""
    return SpoolHealth(spool_fault(settings), Watermark(settings).measure().name.lower())


def drafting_health(situation: SystemStatus | None) -> dict[str, str | bool]:
    """Return whether drafting is stopped, by whom and why; {} if the database does not answer.

    A stop does not make `/readyz` 503: images are accepted and wait.
    """
    if situation is None:
        return {}
    stop = situation.stop
    if stop is None:
        return {"stopped": False}
    return {
        "stopped": True,
        "by": stop.stopped_by,
        "reason": stop.reason,
        "since": stop.stopped_at.isoformat(),
    }


def destination_health(store: Store, settings: Settings) -> dict[str, dict[str, Any]]:
    """Return each destination's state by name, or {} if the database does not answer.

    A destination's fault does not make `/readyz` 503: images are accepted without it. The sentence of a
    fault names no address.
    """
    try:
        found, now = backlogs(store, settings), store.now()
    except StoreError:
        return {}
    limit = alert_after(settings)
    return {
        each.destination: _destination(each, overdue=each.is_overdue(now, limit)) for each in found
    }


def _destination(each: Backlog, *, overdue: bool) -> dict[str, Any]:
    fault = each.sentence() if overdue or each.is_faulty else ""
    return {
        "ok": not fault,
        "state": each.state.value,
        "waiting": each.waiting,
        "overdue": overdue,
        "paused": each.pause is not None,
        "fault": fault,
    }


def database_fault(settings: Settings) -> str:
    """Return the fault of the database that reading it shows, or ""."""
    try:
        schema.check(settings.database_url)
    except SchemaMismatch:
        return "The database is at another revision than this code needs: run `wetread db upgrade`."
    except ConfigurationError:  # its message names a path
        return "The folder of the database is missing: is data_dir mounted?"
    except StoreNotWritable as error:
        return sentence_of(error)
    except StoreError:
        return _SILENT
    return ""


def writing_fault(store: Store) -> str:
    """Return why the database cannot be written, or ""; found by a transaction that writes."""
    try:
        store.check_writable()
    except StoreNotWritable as error:
        return sentence_of(error)
    except StoreError:
        return _SILENT
    return ""


def _situation(store: Store, settings: Settings) -> SystemStatus | None:
    """Return the state of the processes, or None if the database does not answer."""
    try:
        roles = reading_queues(settings)
        return SystemStatus(
            now=store.now(),
            processes=store.processes(),
            roles=roles,
            stop=store.drafting_stop(),
        )
    except StoreError:
        return None


def broker_fault(settings: Settings) -> str:
    """Return why no message can be sent through the message broker, or ""."""
    return check_broker(settings).sentence


def spool_fault(settings: Settings) -> str:
    """Return why Instances cannot be stored now, or ""; found by writing and syncing a file."""
    folder = settings.spool_dir
    try:
        free = free_bytes(folder)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            os.fsync(probe.fileno())
    except OSError as error:
        return f"The spool cannot be written: {error.strerror}."
    needed = settings.receiver.min_free_bytes
    if free < needed:
        return f"The spool's disk has {free // 2**20} MiB free, {needed // 2**20} MiB are needed."
    return ""


def _complaint(situation: SystemStatus | None) -> str:
    """Return the complaint of a receiver that refuses images, or a sweeper that cannot remove files.

    `spool_fault` does not cover these: a receiver accepts again only at more free space than that at
    which it began to refuse, and the sweeper may see another disk than this process.
    """
    if situation is None:
        return ""  # the part "database" reports it
    if refusing := situation.reporting(ProcessStatus.REFUSING):
        return f"A receiver {refusing[0].complaint}."
    hindered = situation.reporting(ProcessStatus.HINDERED)
    return f"The sweeper {hindered[0].complaint}." if hindered else ""


def background_fault(situation: SystemStatus | None) -> str:
    """Return which processes report a failing background task, or ""."""
    failing = situation.reporting(ProcessStatus.FAILING) if situation else ()
    return " ".join(f"{each.name}: {each.complaint}." for each in failing)


def _reader_fault(situation: SystemStatus | None) -> str:
    if situation is None:
        return "Not known: the database does not answer."
    absent = filter(None, map(situation.absent, situation.roles.values()))
    return " ".join(capitalized(each.plain()) for each in absent)
