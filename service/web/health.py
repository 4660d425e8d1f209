"""`/healthz`: this process lives. `/readyz`: every part that a study needs is in place, or which is not.

Both are open, so that probes need no password: they name no patient, no study, no address and no user.
"""

import os
import tempfile
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from service import schema
from service.backlog import Backlog
from service.broker_health import look
from service.config import Settings
from service.destination_care import alert_after, backlogs
from service.disk import Watermark, free_bytes
from service.errors import ConfigurationError, SchemaMismatch, StoreError, StoreNotWritable
from service.queue_names import reading_queues
from service.records import HINDERED, REFUSES
from service.store import Store
from service.web.wiring import wiring
from service.web.words import Situation


@dataclass(frozen=True, slots=True, kw_only=True)
class PartHealth:
    """One part of readiness; `fault` is a sentence, or "" when all is well."""

    name: str
    fault: str


async def healthz(_request: Request) -> JSONResponse:
    """Answer 200: the process serves requests."""
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> JSONResponse:
    """Answer 200 with every part, or 503 that names what is at fault."""
    here = wiring(request)
    parts = await run_in_threadpool(readiness, here.store, here.settings)
    faults = [each.name for each in parts if each.fault]
    body = {
        "status": "ready" if not faults else "not ready",
        "faults": faults,
        "disk": Watermark(here.settings).look().name.lower(),
        "parts": {each.name: {"ok": not each.fault, "fault": each.fault} for each in parts},
        "destinations": await run_in_threadpool(destination_health, here.store, here.settings),
    }
    return JSONResponse(body, status_code=503 if faults else 200)


def readiness(store: Store, settings: Settings) -> list[PartHealth]:
    """Return each part's health, looked at now; waits a few seconds at most."""
    database = database_fault(settings) or writing_fault(store)
    situation = _situation(store, settings)
    broker = broker_fault(settings) or (situation.cut_off_words if situation else "")
    return [
        PartHealth(name="database", fault=database),
        PartHealth(name="broker", fault=broker),
        PartHealth(name="spool", fault=spool_fault(settings) or _complaint(situation)),
        PartHealth(name="reading_worker", fault=_reader_fault(situation)),
    ]


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
        return "The database does not answer."
    return ""


def writing_fault(store: Store) -> str:
    """Return why the database takes nothing, or ""; found by a transaction that writes."""
    try:
        store.check_writable()
    except StoreNotWritable as error:
        return _as_sentence(error)
    except StoreError:
        return "The database does not answer."
    return ""


def _as_sentence(error: StoreError) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def _situation(store: Store, settings: Settings) -> Situation | None:
    """Return what the processes report of themselves, or None when the database does not answer."""
    try:
        roles = reading_queues(settings)
        return Situation(now=store.now(), processes=store.processes(), roles=roles)
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


def _complaint(situation: Situation | None) -> str:
    """Return what a receiver says that takes no films, or a sweeper that can remove none.

    A full disk is left later than it was entered, and the sweeper may see another disk than we do.
    """
    if situation is None:
        return ""  # the database's own part says so
    if refusing := situation.reporting(REFUSES):
        return f"A receiver {refusing[0].detail.partition(', ')[2]}."
    hindered = situation.reporting(HINDERED)
    return f"The sweeper {hindered[0].detail}." if hindered else ""


def _reader_fault(situation: Situation | None) -> str:
    if situation is None:
        return "Not known: the database does not answer."
    absent = filter(None, map(situation.absent, situation.roles.values()))
    return " ".join(_capital(each.plain()) for each in absent)


def _capital(sentence: str) -> str:
    # Not `capitalize`, which lowers the rest: a time has a capital T in it.
    return sentence[:1].upper() + sentence[1:]
