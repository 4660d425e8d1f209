"""Faults, counted: a steady load of studies while everything around and within the service breaks.

    python benchmarks/faults.py [--faults 60] [--every 3] [--scale 0.1] [--database sqlite] [--seed N]

A real site on loopback (`wetread up` with the tiny model, Redis, SQLite or PostgreSQL, Orthanc behind a
proxy that misbehaves) takes studies of synthetic films from several senders (storescu, dcmsend), each of
which sends a film until it is acknowledged, some of them twice, some with a better film later. Meanwhile
faults are done at moments that are drawn from the seed: docs/reliability.md says which. When the last is
over nobody touches anything; then each acknowledged film is accounted for in the PACS.

Time limits of the service and the lengths of the faults are those of daily use times `--scale`.
Prints a tally; ends with status 1, and what is needed to do it again, when one promise was broken.
Needs Orthanc and DCMTK; PostgreSQL for its own; root for the full disk; a C compiler for the clock.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torment.account import open_jobs, outbox_leftovers, violations
from torment.kinds import Absent, Kind, kinds
from torment.load import Films, Sender, SentStudy
from torment.site import Plan, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One fault of the plan, `at` seconds after the start."""

    number: int
    at: float
    kind: Kind


def drawn(known: Sequence[Kind], count: int, every: float, dice: random.Random) -> Iterator[Due]:
    """Yield `count` faults at random moments; every kind comes once before any comes again."""
    at = 0.0
    round_: list[Kind] = []
    for number in range(count):
        at += dice.expovariate(1 / every)
        round_ = round_ or dice.sample(known, len(known))
        yield Due(number=number, at=at, kind=round_.pop())


class Torment:
    """Does what is due, and keeps the tally."""

    def __init__(self, site: Site, seed: int, log: Path) -> None:
        """Take whom to torment and where each fault is written down."""
        self._site = site
        self._seed = seed
        self._log = log
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self.done: Counter[str] = Counter()
        self.missed = 0

    def run(self, plan: Sequence[Due]) -> None:
        """Do every fault of the plan; return when the last is over."""
        begun = time.monotonic()
        with ThreadPoolExecutor(len(plan)) as pool:
            futures: list[Future[None]] = []
            for due in plan:
                time.sleep(max(0.0, begun + due.at - time.monotonic()))
                futures.append(pool.submit(self._do, due, self._turns[due.kind.target]))
        for future in futures:
            future.result()

    def _do(self, due: Due, turn: threading.Lock) -> None:
        dice = random.Random(f"{self._seed} fault {due.number}")
        with turn:
            try:
                with due.kind.at_work(self._site, dice):
                    self._note(f"{due.number} {due.kind.name}: begins")
                    time.sleep(due.kind.seconds * self._site.plan.scale)
            except Absent:
                self.missed += 1
                return
            self._note(f"{due.number} {due.kind.name}: over")
        self.done[due.kind.name] += 1

    def _note(self, words: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {words}\n")


def settled(site: Site, sent: Sequence[SentStudy], seconds: float) -> bool:
    """Return whether every study and job came to its end within the time, by itself."""
    deadline = time.monotonic() + seconds
    while (waiting := open_jobs(site, sent)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return not waiting


def report(site: Site, torment: Torment, senders: Sequence[Sender], broken: Sequence[str]) -> None:
    """Print the tally."""
    studies = [study for sender in senders for study in sender.studies]
    films = [film for study in studies for film in study.films]
    jobs = site.store.jobs(limit=100_000)
    for name, count in sorted(torment.done.items()):
        print(f"{count:5}  {name}")
    print(f"{torment.done.total():5}  faults in all; {torment.missed} more found nobody to harm")
    print(
        f"{len(studies)} studies, {len(films)} films, {sum(film.acknowledged for film in films)} "
        f"acknowledgements; {sum(sender.failures for sender in senders)} of "
        f"{sum(sender.tries for sender in senders)} associations had to be repeated"
    )
    states = Counter(
        f"{job.state}{' ' + job.reason_code if job.reason_code else ''}" for job in jobs
    )
    print(f"{len(jobs)} jobs: {', '.join(f'{n} {state}' for state, n in sorted(states.items()))}")
    print(
        f"`up` ended by itself {site.ends_by_itself} times; answers harmed by the proxy: "
        f"{site.proxy.harmed}; files of broken-off writes in the outbox: {outbox_leftovers(site)}"
    )
    for fault in broken:
        print(f"BROKEN: {fault}")
    print(f"{len(broken)} promises broken")


def run(folder: Path, options: argparse.Namespace) -> int:
    """Return how many promises were broken."""
    site = Site(folder, Plan(database=options.database, scale=options.scale))
    films = Films(folder / "films", options.seed)
    plan = list(drawn(kinds(site), options.faults, options.every, random.Random(options.seed)))
    torment = Torment(site, options.seed, folder / "faults.log")
    senders = [
        Sender(site, films, number=number, seed=options.seed, pause=options.pause)
        for number in range(options.senders)
    ]
    try:
        site.start()
        begun = time.monotonic()
        for sender in senders:
            sender.start()
        torment.run(plan)
        print(f"the last fault was over after {time.monotonic() - begun:.0f} s", flush=True)
        for sender in senders:
            sender.stop()
        broken = [f"{each.name} still waits" for each in _late(senders, options.settle)]
        studies = [study for sender in senders for study in sender.studies]
        if not settled(site, studies, options.settle):
            broken.append(f"{open_jobs(site, studies)} jobs or studies have no end yet")
        print(f"all was at its end after {time.monotonic() - begun:.0f} s", flush=True)
        broken += violations(site, studies)
        report(site, torment, senders, broken)
    finally:
        site.stop()
    return len(broken)


def _late(senders: Sequence[Sender], seconds: float) -> list[Sender]:
    deadline = time.monotonic() + seconds
    for sender in senders:
        sender.join(max(0.0, deadline - time.monotonic()))
    return [sender for sender in senders if sender.is_alive()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--every", type=float, default=3.0, help="mean seconds between two faults")
    parser.add_argument(
        "--scale", type=float, default=0.1, help="of time limits and faults' lengths"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--senders", type=int, default=3)
    parser.add_argument("--pause", type=float, default=6.0, help="mean seconds between two studies")
    parser.add_argument(
        "--settle", type=float, default=300.0, help="seconds for all to come to an end"
    )
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10_000)
    print(f"seed {options.seed}, {options.database}, scale {options.scale:g}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="wetread-faults-"))
    if run(folder, options):
        print(f"the service's log and the faults' moments are in {folder}")
        print(f"again: python benchmarks/faults.py {' '.join(_words(options))}")
        sys.exit(1)
    shutil.rmtree(folder)


def _words(options: argparse.Namespace) -> list[str]:
    return [f"--{name} {value}" for name, value in vars(options).items()]


if __name__ == "__main__":
    main()
