"""Whether every part that a Study needs is in place, or which is not, for `/readyz`.

The address is open, so that probes need no password: the sentences name no patient, no study, no
address and no user. It cannot be used to load the service: all that ask at the same time share one
look at each part.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from service.database import schema
from service.destination_backlog import Backlog
from service.errors import ConfigurationError, SchemaMismatch, StoreError, StoreNotWritable
from service.monitoring.destination_incidents import alert_after, backlogs
from service.queue.broker_health import look
from service.queue.names import reading_queues
from service.records import ProcessStatus
from service.settings.config import Settings
from service.store import Store
from service.system.disk_space import Watermark, free_bytes
from service.web.status.status_text import SystemStatus

FRESH_SECONDS: Final = 1.0
# A probe of an orchestrator has an answer within 10 s, whatever is silent.
ANSWER_SECONDS: Final = 8.0

_SILENT: Final = "The database does not answer."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """One part of readiness; `fault` is a sentence, or "" when all is well."""

    name: str
    fault: str


class SharedLook(Generic[T]):
    """Calls a blocking function in a thread, once for all that ask meanwhile, and keeps what it said."""

    def __init__(self, look: Callable[[], T], *, fresh_seconds: float) -> None:
        """Take the function, and for how long its answer counts as new."""
        self._look = look
        self._fresh_seconds = fresh_seconds
        self._running: asyncio.Task[T] | None = None
        self._ended_at = float("-inf")

    async def get(self, limit_seconds: float) -> T:
        """Return the answer of the function.

        Raises:
            TimeoutError: It takes longer than `limit_seconds`. It goes on, and later callers wait for
                the same call.
        """
        running = self._running
        if running is None or (running.done() and not self._is_fresh()):
            running = self._running = asyncio.create_task(self._call())
        return await asyncio.wait_for(asyncio.shield(running), limit_seconds)

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._ended_at < self._fresh_seconds

    async def _call(self) -> T:
        try:
            return await asyncio.to_thread(self._look)
        finally:
            self._ended_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class DatabaseLook:
    """What the database says; without an answer nothing else is known.

    Attributes:
        fault: A sentence, or "".
        situation: What the processes report of themselves, or None.
        destinations: Each destination's state, by name.
    """

    fault: str
    situation: SystemStatus | None
    destinations: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SpoolLook:
    """The spool's fault, a sentence or "", and how full its disk is, in the words of the API."""

    fault: str
    disk: str


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Every part's health, with the state of disk and destinations."""

    parts: tuple[PartHealth, ...]
    disk: str
    destinations: dict[str, dict[str, Any]]


class Readiness:
    """Looks at every part at the same time, each for a limited time; used from one event loop."""

    def __init__(
        self, store: Store, settings: Settings, *, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        """Take where to look, and for how long an answer counts as new."""
        self._database = SharedLook(
            lambda: look_at_database(store, settings), fresh_seconds=fresh_seconds
        )
        self._broker = SharedLook(lambda: broker_fault(settings), fresh_seconds=fresh_seconds)
        self._spool = SharedLook(lambda: look_at_spool(settings), fresh_seconds=fresh_seconds)

    async def report(self, limit_seconds: float = ANSWER_SECONDS) -> ReadinessReport:
        """Return each part's health; one that takes longer than the limit is at fault."""
        slow = f"gave no answer within {limit_seconds:g} s."
        database, broker, spool = await asyncio.gather(
            _within(self._database, limit_seconds, DatabaseLook(f"The database {slow}", None, {})),
            _within(self._broker, limit_seconds, f"Redis {slow}"),
            _within(self._spool, limit_seconds, SpoolLook(f"The spool's disk {slow}", "unknown")),
        )
        situation = database.situation
        cut_off = situation.cut_off_words if situation else ""
        parts = (
            PartHealth(name="database", fault=database.fault),
            PartHealth(name="broker", fault=broker or cut_off),
            PartHealth(name="spool", fault=spool.fault or _complaint(situation)),
            PartHealth(name="reading_worker", fault=_reader_fault(situation)),
            PartHealth(name="background_tasks", fault=background_fault(situation)),
        )
        return ReadinessReport(parts, spool.disk, database.destinations)


async def _within(look: SharedLook[T], limit_seconds: float, otherwise: T) -> T:
    try:
        return await look.get(limit_seconds)
    except TimeoutError:
        return otherwise


def look_at_database(store: Store, settings: Settings) -> DatabaseLook:
    """Return what the database says; one that gives no answer is asked no second question."""
    fault = database_fault(settings) or writing_fault(store)
    if fault == _SILENT:
        return DatabaseLook(fault, None, {})
    return DatabaseLook(fault, _situation(store, settings), destination_health(store, settings))


def look_at_spool(settings: Settings) -> SpoolLook:
    """Return whether images can be stored now, and the step of the disk's watermark."""
    return SpoolLook(spool_fault(settings), Watermark(settings).look().name.lower())


def destination_health(store: Store, settings: Settings) -> dict[str, dict[str, Any]]:
    """Return each destination's state; one that is away keeps no sender from sending.

    The sentence of a fault names no address. Without a database nothing is known.
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
        "fault": fault,
    }


def database_fault(settings: Settings) -> str:
    """Return what is wrong with the database as far as reading shows, or ""."""
    try:
        schema.check(settings.database_url)
    except SchemaMismatch:
        return "The database is at another revision than this code needs: run `wetread db upgrade`."
    except ConfigurationError:  # its words name a path
        return "The folder of the database is missing: is data_dir mounted?"
    except StoreNotWritable as error:
        return _as_sentence(error)
    except StoreError:
        return _SILENT
    return ""


def writing_fault(store: Store) -> str:
    """Return why the database takes nothing, or ""; found by a transaction that writes."""
    try:
        store.check_writable()
    except StoreNotWritable as error:
        return _as_sentence(error)
    except StoreError:
        return _SILENT
    return ""


def _as_sentence(error: StoreError) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def _situation(store: Store, settings: Settings) -> SystemStatus | None:
    """Return what the processes report of themselves, or None when the database does not answer."""
    try:
        roles = reading_queues(settings)
        return SystemStatus(now=store.now(), processes=store.processes(), roles=roles)
    except StoreError:
        return None


def broker_fault(settings: Settings) -> str:
    """Return why no message can be sent by the message broker, or ""."""
    return look(settings).sentence


def spool_fault(settings: Settings) -> str:
    """Return why films could not be taken now, or ""."""
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
    """Return what a receiver says that takes no films, or a sweeper that can remove none.

    A full disk is left later than it was entered, and the sweeper may see another disk than we do.
    """
    if situation is None:
        return ""  # the database's own part says so
    if refusing := situation.reporting(ProcessStatus.REFUSING):
        return f"A receiver {refusing[0].complaint}."
    hindered = situation.reporting(ProcessStatus.HINDERED)
    return f"The sweeper {hindered[0].complaint}." if hindered else ""


def background_fault(situation: SystemStatus | None) -> str:
    """Return which processes report that a background task of theirs fails, or ""."""
    failing = situation.reporting(ProcessStatus.FAILING) if situation else ()
    return " ".join(f"{each.name}: {each.complaint}." for each in failing)


def _reader_fault(situation: SystemStatus | None) -> str:
    if situation is None:
        return "Not known: the database does not answer."
    absent = filter(None, map(situation.absent, situation.roles.values()))
    return " ".join(_capital(each.plain()) for each in absent)


def _capital(sentence: str) -> str:
    # Not `capitalize`, which lowers the rest: a time has a capital T in it.
    return sentence[:1].upper() + sentence[1:]
