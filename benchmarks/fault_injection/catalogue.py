"""The kinds of faults: the name, the target and the length of each."""

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fault_injection import faults, silent_cut
from fault_injection.faults import Question
from fault_injection.half_open import half_open, modality, web_client
from fault_injection.programs import Program
from fault_injection.proxy import FAILURE_MODES
from fault_injection.site import DECODERS, PARTS, RECEIVERS, Site

_KILL: Final = "kill -9"
_FREEZE: Final = "SIGSTOP"

Break = Callable[[Site, random.Random], AbstractContextManager[Question]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault.

    Attributes:
        name: In the tally.
        target: Of two faults on one target the second waits for the first to be over.
        seconds: How long it lasts at scale 1.
        at_work: A context: entering does it, leaving ends it; it yields a function that returns whether
            the fault had an effect.
    """

    name: str
    target: str
    seconds: float
    at_work: Break


def kinds(site: Site) -> list[Kind]:
    """Return the kinds that can be done to this site on this machine."""
    found = [*_of_processes(site), *_of_redis(site), *_of_the_pacs(), *_of_the_ports()]
    found += [*_of_the_second_pacs(), *_of_the_network(site)]
    if site.disk.mounted:
        found.append(Kind(name="disk full", target="disk", seconds=30, at_work=faults.full_disk))
    if site.clock.can_be_turned:
        for name, sign in (("clock forward", 1), ("clock back", -1)):
            turned = functools.partial(faults.turned_clock, sign=sign)
            found.append(Kind(name=name, target="clock", seconds=30, at_work=turned))
    return [*found, *_of_the_database(site)]


def _of_processes(site: Site) -> Iterator[Kind]:
    for part in (*PARTS, "up"):
        who = functools.partial(Site.processes, part=part)
        frozen = functools.partial(faults.frozen, part=part, who=who)
        yield _kill(part)
        yield Kind(name=f"{_FREEZE} {part}", target=part, seconds=30, at_work=frozen)
        if part.startswith("worker"):
            # When it continues, its claims have expired.
            name = f"{_FREEZE} {part} beyond its lease"
            yield Kind(name=name, target=part, seconds=150, at_work=frozen)
    yield _kill(DECODERS)
    if site.plan.receivers > 1:
        yield _kill(RECEIVERS)
    for name in ("redis", "orthanc"):
        program: Program = getattr(site, name)
        yield _kill_of(name, program)
        yield _freeze_of(name, program, seconds=30)


def _kill(part: str) -> Kind:
    who = functools.partial(Site.processes, part=part)
    at_work = functools.partial(faults.killed, part=part, who=who)
    return Kind(name=f"{_KILL} {part}", target=part, seconds=0, at_work=at_work)


def _kill_of(name: str, program: Program) -> Kind:
    at_work = functools.partial(faults.away, program=program)
    return Kind(name=f"{_KILL} {name}", target=name, seconds=1, at_work=at_work)


def _freeze_of(name: str, program: Program, *, seconds: float) -> Kind:
    at_work = functools.partial(faults.frozen, part=name, who=lambda _: program.processes())
    return Kind(name=f"{_FREEZE} {name}", target=name, seconds=seconds, at_work=at_work)


def _of_redis(site: Site) -> Iterator[Kind]:
    gone = functools.partial(faults.away, program=site.redis)
    yield Kind(name="Redis flushed", target="redis", seconds=0, at_work=faults.flushed)
    yield Kind(name="Redis gone, back empty", target="redis", seconds=60, at_work=gone)


def _of_the_pacs() -> Iterator[Kind]:
    for failure_mode in FAILURE_MODES:
        at_work = functools.partial(faults.proxy_fails, failure_mode=failure_mode)
        yield Kind(name=f"PACS {failure_mode}", target="pacs", seconds=60, at_work=at_work)


def _of_the_second_pacs() -> Iterator[Kind]:
    kinds_: dict[str, Break] = {
        "second PACS silent": functools.partial(faults.slow_second, manners=("silent",)),
        "second PACS slow": functools.partial(
            faults.slow_second, manners=("slow answers", "slow requests")
        ),
        "second PACS changes UIDs": faults.changed_uids,
    }
    for name, at_work in kinds_.items():
        yield Kind(name=name, target="second", seconds=300, at_work=at_work)


def _of_the_network(site: Site) -> Iterator[Kind]:
    if not site.plan.has_own_network:
        return
    ports: dict[str, Callable[[Site], int]] = {
        "redis": lambda site: _port(site.redis_url),
        "pacs": lambda site: _port(site.proxy.url),
    }
    if site.postgres is not None:
        ports["database"] = lambda site: _port(site.settings.database_url)
    for target, port in ports.items():
        at_work = functools.partial(silent_cut.cut, port=port)
        yield Kind(name=f"silent cut {target}", target=target, seconds=200, at_work=at_work)


def _port(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise ValueError("the URL names no port")
    return port


def _of_the_ports() -> Iterator[Kind]:
    for name, whose in (("port", modality), ("STOW-RS port", web_client)):
        at_work = functools.partial(half_open, whose=whose)
        yield Kind(name=f"{name} half open", target=name, seconds=60, at_work=at_work)


def _of_the_database(site: Site) -> Iterator[Kind]:
    if site.postgres is None:
        yield Kind(name="database locked", target="database", seconds=60, at_work=faults.locked)
        return
    gone = functools.partial(faults.away, program=site.postgres)
    yield _kill_of("database", site.postgres)
    yield Kind(name="database gone", target="database", seconds=60, at_work=gone)
    yield _freeze_of("database", site.postgres, seconds=60)
