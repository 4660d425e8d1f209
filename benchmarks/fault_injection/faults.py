"""The faults: each is a context manager that causes a fault and repairs it at the end.

It yields a function that returns whether the fault had an effect; others are not counted.
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

_TIMEOUT: Final = 60.0
_LOOK_AGAIN: Final = 0.2
_LOOK_FOR_WORK: Final = 0.005
_FOR_WORK: Final = 10.0  # seconds to wait for a moment at which the process has work in hand
_LONG: Final = (0.03, 0.3)  # seconds, about the time to receive an image, and to read or deliver it
_MORE: Final = 2**16


class Felt(IntEnum):
    """Whether a part of the service was affected by a fault."""

    NOT = 0
    FELT = 1
    AMID_WORK = 2  # a process was killed or frozen that had something in hand


Question = Callable[[], Felt]
Who = Callable[[Site], Iterable[psutil.Process]]


class Absent(Exception):
    """The target of the fault does not run."""


@contextmanager
def killed(site: Site, dice: random.Random, *, part: str, who: Who) -> Iterator[Question]:
    """Kill some of the processes; their supervisor starts them again."""
    felt = _await_work(site, dice, part)
    there = _there(site, who)
    doomed = dice.sample(there, dice.randint(1, len(there)))
    _signal(doomed, signal.SIGKILL)

    def dead() -> Felt:
        return felt if psutil.wait_procs(doomed, _TIMEOUT)[0] else Felt.NOT

    yield dead


@contextmanager
def frozen(site: Site, dice: random.Random, *, part: str, who: Who) -> Iterator[Question]:
    """Suspend processes, and let them continue after the fault."""
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
    """Delete all data of Redis, once it has some."""
    del dice
    with redis.Redis.from_url(site.redis_url, socket_timeout=2) as client:
        known = soon(lambda: bool(client.dbsize()))
        client.flushall()
    yield lambda: Felt(known)


@contextmanager
def proxy_fails(
    site: Site, dice: random.Random, *, failure_mode: FailureMode
) -> Iterator[Question]:
    """Make the PACS misbehave until at least one request was affected."""
    before = site.proxy.harmed
    # Some answers come just in time, others after our time limit.
    site.proxy.delay = 30 * site.plan.scale * dice.uniform(0.1, 1.5)
    site.proxy.failure_mode = failure_mode
    try:
        yield lambda: Felt(soon(lambda: site.proxy.harmed > before))
    finally:
        site.proxy.failure_mode = "honest"


@contextmanager
def slow_second(
    site: Site, dice: random.Random, *, manners: Sequence[Manner]
) -> Iterator[Question]:
    """Make the second PACS pass nothing, or a byte a second, until the service was affected."""
    link = site.second.link
    before = link.harmed
    link.manner = dice.choice(manners)
    try:
        yield lambda: Felt(soon(lambda: link.harmed > before))
    finally:
        link.manner = "forwards"


@contextmanager
def changed_uids(site: Site, dice: random.Random) -> Iterator[Question]:
    """Make the second PACS store objects under new UIDs, until it stored at least one."""
    del dice
    before = site.second.renamed
    with site.second.changing_uids():
        yield lambda: Felt(soon(lambda: site.second.renamed > before))


@contextmanager
def full_disk(site: Site, dice: random.Random) -> Iterator[Question]:
    """Leave no space, or enough to begin writing, or enough for one or two images."""
    left = dice.choice([0, 2**14, 2**17, 2**19])
    site.disk.fill(left=left)
    # Checked at once: retention may free space afterwards, as it should.
    is_full = not site.disk.has_room(left + _MORE)
    try:
        yield lambda: Felt(is_full)
    finally:
        site.disk.empty()


@contextmanager
def turned_clock(site: Site, dice: random.Random, *, sign: int) -> Iterator[Question]:
    """Shift the time of day in every process of the service."""
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
    """Return whether a part has work in hand; half of the times, wait first until it has."""
    if dice.random() < 0.5 and part in BUSY:
        deadline = time.monotonic() + _FOR_WORK
        while not site.has_work(part) and time.monotonic() < deadline:
            time.sleep(_LOOK_FOR_WORK)
        time.sleep(dice.uniform(0, dice.choice(_LONG)))
    return Felt.AMID_WORK if site.has_work(part) else Felt.FELT


def _there(site: Site, who: Who) -> list[psutil.Process]:
    """Return the processes, after the last fault started again.

    Raises:
        Absent: The processes did not start again.
    """
    deadline = time.monotonic() + _TIMEOUT
    while not (found := list(who(site))):
        if time.monotonic() > deadline:
            raise Absent
        time.sleep(_LOOK_AGAIN)
    return found


def soon(condition: Callable[[], bool]) -> bool:
    """Return whether `condition` holds within a minute."""
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # psutil checks whether the id is still the same process.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _is_stopped(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_STOPPED
    return False
