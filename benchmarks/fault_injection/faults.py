"""How things are broken: each is a context that breaks on entering and mends on leaving.

It hands out a question: was it felt? What nobody felt is no fault and is not counted.
"""

import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

import psutil
import redis

from fault_injection.programs import Program
from fault_injection.proxy import FailureMode
from fault_injection.site import BUSY, Site
from fault_injection.slow_peer import Manner

_PATIENCE: Final = 60.0
_LOOK_AGAIN: Final = 0.2
_LOOK_FOR_WORK: Final = 0.005
_FOR_WORK: Final = 10.0  # seconds to wait for a moment at which a death hurts
_LONG: Final = (0.03, 0.3)  # about what it takes to receive an image, and to read or deliver it
_MORE: Final = 2**16


class Felt(IntEnum):
    """Whether a person felt a fault."""

    NOT = 0
    FELT = 1
    AMID_WORK = 2  # a process was killed or frozen that had something in hand


Question = Callable[[], Felt]
Who = Callable[[Site], Iterable[psutil.Process]]


class Absent(Exception):
    """Whom the fault was meant for is not there."""


@contextmanager
def killed(site: Site, dice: random.Random, *, part: str, who: Who) -> Iterator[Question]:
    """Kill some of the processes; the supervisor, or whoever keeps them, starts them again."""
    felt = _await_work(site, dice, part)
    there = _there(site, who)
    doomed = dice.sample(there, dice.randint(1, len(there)))
    _signal(doomed, signal.SIGKILL)

    def dead() -> Felt:
        return felt if psutil.wait_procs(doomed, _PATIENCE)[0] else Felt.NOT

    yield dead


@contextmanager
def frozen(site: Site, dice: random.Random, *, part: str, who: Who) -> Iterator[Question]:
    """Stop processes without their notice, and let them go on as if nothing had been."""
    felt = _await_work(site, dice, part)
    processes = _there(site, who)
    _signal(processes, signal.SIGSTOP)
    stopped = soon(lambda: any(_is_stopped(each) for each in processes))
    try:
        yield lambda: felt if stopped else Felt.NOT
    finally:
        _signal(processes, signal.SIGCONT)


@contextmanager
def away(site: Site, dice: random.Random, *, program: Program) -> Iterator[Question]:
    """Kill a server and start it again in the end."""
    del site, dice
    program.kill()
    try:
        yield lambda: Felt(not program.answers())
    finally:
        program.start()


@contextmanager
def flushed(site: Site, dice: random.Random) -> Iterator[Question]:
    """Have Redis forget everything, once it knows something."""
    del dice
    with redis.Redis.from_url(site.redis_url, socket_timeout=2) as client:
        known = soon(lambda: bool(client.dbsize()))
        client.flushall()
    yield lambda: Felt(known)


@contextmanager
def moody(site: Site, dice: random.Random, *, mood: FailureMode) -> Iterator[Question]:
    """Have the PACS misbehave, until it has done so at least once."""
    before = site.proxy.harmed
    # Some answers come just in time, others after our time limit.
    site.proxy.delay = 30 * site.plan.scale * dice.uniform(0.1, 1.5)
    site.proxy.mood = mood
    try:
        yield lambda: Felt(soon(lambda: site.proxy.harmed > before))
    finally:
        site.proxy.mood = "honest"


@contextmanager
def slow_second(
    site: Site, dice: random.Random, *, manners: Sequence[Manner]
) -> Iterator[Question]:
    """Have the second PACS pass nothing, or a byte a second, until it did so to the service."""
    link = site.second.link
    before = link.harmed
    link.manner = dice.choice(manners)
    try:
        yield lambda: Felt(soon(lambda: link.harmed > before))
    finally:
        link.manner = "forwards"


@contextmanager
def changed_uids(site: Site, dice: random.Random) -> Iterator[Question]:
    """Have the second PACS store objects under new UIDs, until it did so at least once."""
    del dice
    before = site.second.renamed
    with site.second.changing_uids():
        yield lambda: Felt(soon(lambda: site.second.renamed > before))


@contextmanager
def full_disk(site: Site, dice: random.Random) -> Iterator[Question]:
    """Leave nothing, or enough to begin writing, or for an image or two."""
    left = dice.choice([0, 2**14, 2**17, 2**19])
    site.disk.fill(left=left)
    # Asked at once: retention may make room, as it should.
    is_full = not site.disk.has_room(left + _MORE)
    try:
        yield lambda: Felt(is_full)
    finally:
        site.disk.empty()


@contextmanager
def turned_clock(site: Site, dice: random.Random, *, sign: int) -> Iterator[Question]:
    """Have every process of the service see another time of day."""
    site.clock.turn(sign * dice.choice([30, 600, 3600, 86_400]))
    try:
        yield lambda: Felt(soon(lambda: site.clock.is_off_in(site.processes("up"))))
    finally:
        site.clock.turn(0)


@contextmanager
def locked(site: Site, dice: random.Random) -> Iterator[Question]:
    """Hold SQLite's one writer's lock."""
    del dice
    path = site.settings.data_dir / "wetread.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        is_held = connection.in_transaction
        yield lambda: Felt(is_held)
        connection.execute("ROLLBACK")


def _await_work(site: Site, dice: random.Random, part: str) -> Felt:
    """Return whether a part has work in hand; half of the times, wait for a moment at which it has."""
    if dice.random() < 0.5 and part in BUSY:
        deadline = time.monotonic() + _FOR_WORK
        while not site.has_work(part) and time.monotonic() < deadline:
            time.sleep(_LOOK_FOR_WORK)
        time.sleep(dice.uniform(0, dice.choice(_LONG)))
    return Felt.AMID_WORK if site.has_work(part) else Felt.FELT


def _there(site: Site, who: Who) -> list[psutil.Process]:
    """Return the processes, after the last fault started again.

    Raises:
        Absent: Nobody came back: there is nothing to do this to.
    """
    deadline = time.monotonic() + _PATIENCE
    while not (found := list(who(site))):
        if time.monotonic() > deadline:
            raise Absent
        time.sleep(_LOOK_AGAIN)
    return found


def soon(condition: Callable[[], bool]) -> bool:
    """Return whether `condition` holds within a minute."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # psutil looks whether the id is still the same process.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _is_stopped(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_STOPPED
    return False
