"""The faults: what each does, to whom, for how long, and how it ends."""

import contextlib
import functools
import random
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import psutil
import redis
from fuzz_receiver import association

from torment.programs import Program
from torment.proxy import Mood
from torment.site import DECODERS, PARTS, Site

_KILL: Final = "kill -9"
_FREEZE: Final = "SIGSTOP"
_CONNECTIONS: Final = 300  # more than receiver.max_associations

_PATIENCE: Final = 60.0

Break = Callable[[Site, random.Random], AbstractContextManager[None]]


class Absent(Exception):
    """Whom the fault was meant for is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: In the tally.
        target: Of two faults on one target the second waits for the first to be over.
        seconds: How long it lasts at scale 1.
        at_work: A context: entering does it, leaving ends it.
    """

    name: str
    target: str
    seconds: float
    at_work: Break


def kinds(site: Site) -> list[Kind]:
    """Return the kinds that can be done to this site on this machine."""
    found = [*_of_processes(site), *_of_redis(), *_of_the_pacs()]
    found.append(Kind(name="port half open", target="port", seconds=60, at_work=_half_open))
    if site.disk.mounted:
        found.append(Kind(name="disk full", target="disk", seconds=30, at_work=_full_disk))
    if site.clock.can_be_turned:
        for name, sign in (("clock forward", 1), ("clock back", -1)):
            turned = functools.partial(_turned_clock, sign=sign)
            found.append(Kind(name=name, target="clock", seconds=30, at_work=turned))
    return [*found, *_of_the_database(site)]


def _of_processes(site: Site) -> Iterator[Kind]:
    for part in (*PARTS, DECODERS, "up"):
        of = functools.partial(Site.processes, part=part)
        at_work = functools.partial(_killed, of=of)
        yield Kind(name=f"{_KILL} {part}", target=part, seconds=0, at_work=at_work)
        frozen = functools.partial(_frozen, of=of)
        if part in PARTS:
            yield Kind(name=f"{_FREEZE} {part}", target=part, seconds=30, at_work=frozen)
        if part.startswith("worker"):
            # When it goes on, what it held is not its own any more.
            name = f"{_FREEZE} {part} beyond its lease"
            yield Kind(name=name, target=part, seconds=150, at_work=frozen)
    for name in ("redis", "orthanc"):
        program: Program = getattr(site, name)
        away = functools.partial(_away, program=program)
        yield Kind(name=f"{_KILL} {name}", target=name, seconds=1, at_work=away)
        frozen = functools.partial(_frozen, of=lambda _, program=program: program.processes())
        yield Kind(name=f"{_FREEZE} {name}", target=name, seconds=30, at_work=frozen)


def _of_redis() -> Iterator[Kind]:
    gone = lambda site, dice: _away(site, dice, program=site.redis)  # noqa: E731 - a partial per site
    yield Kind(name="Redis flushed", target="redis", seconds=0, at_work=_flushed)
    yield Kind(name="Redis gone, back empty", target="redis", seconds=60, at_work=gone)


def _of_the_pacs() -> Iterator[Kind]:
    moods: tuple[Mood, ...] = ("refuses", "errors", "slow", "breaks", "forgets")
    for mood in moods:
        at_work = functools.partial(_moody, mood=mood)
        yield Kind(name=f"PACS {mood}", target="pacs", seconds=60, at_work=at_work)


def _of_the_database(site: Site) -> Iterator[Kind]:
    postgres = site.postgres
    if postgres is None:
        yield Kind(name="database locked", target="database", seconds=60, at_work=_locked)
        return
    away = functools.partial(_away, program=postgres)
    frozen = functools.partial(_frozen, of=lambda _: postgres.processes())
    yield Kind(name=f"{_KILL} database", target="database", seconds=1, at_work=away)
    yield Kind(name="database gone", target="database", seconds=60, at_work=away)
    yield Kind(name=f"{_FREEZE} database", target="database", seconds=60, at_work=frozen)


@contextmanager
def _killed(
    site: Site, dice: random.Random, *, of: Callable[[Site], Iterable[psutil.Process]]
) -> Iterator[None]:
    """Kill a part; the supervisor, or whoever keeps that alive, starts it again."""
    del dice
    _signal(_there(site, of), signal.SIGKILL)
    yield


@contextmanager
def _frozen(
    site: Site, dice: random.Random, *, of: Callable[[Site], Iterable[psutil.Process]]
) -> Iterator[None]:
    del dice
    processes = _there(site, of)
    _signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _there(site: Site, of: Callable[[Site], Iterable[psutil.Process]]) -> list[psutil.Process]:
    """Return the processes, after the last fault started again.

    Raises:
        Absent: Nobody came back: there is nothing to do this to.
    """
    deadline = time.monotonic() + _PATIENCE
    while not (found := list(of(site))):
        if time.monotonic() > deadline:
            raise Absent
        time.sleep(0.2)
    return found


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # psutil looks whether the id is still the same process.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextmanager
def _away(site: Site, dice: random.Random, *, program: Program) -> Iterator[None]:
    """Kill a server and start it again in the end."""
    del site, dice
    program.kill()
    try:
        yield
    finally:
        program.start()


@contextmanager
def _flushed(site: Site, dice: random.Random) -> Iterator[None]:
    del dice
    with redis.Redis.from_url(site.redis_url, socket_timeout=2) as client:
        client.flushall()
    yield


@contextmanager
def _moody(site: Site, dice: random.Random, *, mood: Mood) -> Iterator[None]:
    # Some answers come just in time, others after our time limit.
    site.proxy.delay = 30 * site.plan.scale * dice.uniform(0.1, 1.5)
    site.proxy.mood = mood
    try:
        yield
    finally:
        site.proxy.mood = "honest"


@contextmanager
def _full_disk(site: Site, dice: random.Random) -> Iterator[None]:
    # Sometimes nothing is left, sometimes enough to begin writing, sometimes for a film or two.
    site.disk.fill(left=dice.choice([0, 2**14, 2**17, 2**19]))
    try:
        yield
    finally:
        site.disk.empty()


@contextmanager
def _turned_clock(site: Site, dice: random.Random, *, sign: int) -> Iterator[None]:
    site.clock.turn(sign * dice.choice([30, 600, 3600, 86_400]))
    try:
        yield
    finally:
        site.clock.turn(0)


@contextmanager
def _locked(site: Site, dice: random.Random) -> Iterator[None]:
    """Hold SQLite's one writer's lock."""
    del dice
    path = site.settings.data_dir / "wetread.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def _half_open(site: Site, dice: random.Random) -> Iterator[None]:
    """Connect many times and say nothing, or stop in the middle of a request or of a film."""
    stream = b"".join(association())
    request = len(association()[0])
    with contextlib.ExitStack() as connections:
        for _ in range(dice.choice([10, _CONNECTIONS])):
            with contextlib.suppress(OSError):
                peer = socket.create_connection(("127.0.0.1", site.port), 1)
                connections.enter_context(contextlib.closing(peer))
                upto = dice.choice(
                    [0, dice.randrange(request), dice.randrange(request, len(stream))]
                )
                peer.sendall(stream[:upto])
        yield
