"""Run a steady load of studies while parts of the service and its servers fail, and count.

    python benchmarks/faults.py [--faults 60] [--every 3] [--scale 0.1] [--database sqlite] [--seed N]

A real site on loopback (`wetread up` with the tiny model, Redis, SQLite or PostgreSQL, Orthanc behind a
proxy that misbehaves) takes studies of synthetic images from several senders (storescu, dcmsend,
STOW-RS), each of which sends an image until it is acknowledged, some twice, some with a better image
later. Meanwhile faults are injected at moments drawn from the seed: docs/reliability.md lists them.
After the last one nothing is touched; then each acknowledged image is verified in the PACS.

Time limits of the service and the lengths of the faults are those of daily use times `--scale`.
Prints a tally; ends with status 1, and the options to repeat the run, if a guarantee was broken.
Needs Orthanc and DCMTK; PostgreSQL for its own; root for the full disk; a C compiler for the clock.
"""

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import redis
from fault_injection.apart import held_apart
from fault_injection.catalogue import Kind, kinds
from fault_injection.faults import Absent, Felt
from fault_injection.load import Sender, SentStudy, SyntheticImages
from fault_injection.silent_cut import enter_own_network
from fault_injection.site import Plan, Site
from fault_injection.verification import Account, Watch, account, open_jobs, void_results

# Another fault may be active on the target at that moment.
_NOT_DONE: Final = (Absent, OSError, psutil.Error, redis.RedisError, sqlite3.Error)
# The log lines of the service about faults.
_EVENTS: Final = (
    "part_died",
    "receiver_died",
    "object refused:",
    "association_refused",
    "request_refused",
    "instance_not_recorded",
    "receiver_not_ready",
    "claim_failed",
    "worker_lost",
    "lease_lost",
    "deliveries_taken_back",
    "not_delivered",
    "store_unavailable",
    "broker_unavailable",
    "process_silent",
    "leftovers_removed",
    "void_claims_removed",
    "future_times_corrected",
    "disk_getting_full",
    "files_removed",
)


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


class FaultInjector:
    """Injects the faults that are due, and counts them."""

    def __init__(self, site: Site, seed: int, log: Path) -> None:
        """Take the site and the file that records each fault."""
        self._site = site
        self._seed = seed
        self._log = log
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self.done: Counter[str] = Counter()
        self.amid_work: Counter[str] = Counter()
        self.unfelt: Counter[str] = Counter()

    def run(self, plan: Sequence[Due]) -> None:
        """Inject every fault of the plan; return after the last."""
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
            felt = self._felt(due, dice)
        self._note(f"{due.number} {due.kind.name}: over, {felt.name}")
        name = due.kind.name
        self.unfelt[name] += felt is Felt.NOT
        self.done[name] += felt is not Felt.NOT
        self.amid_work[name] += felt is Felt.AMID_WORK

    def _felt(self, due: Due, dice: random.Random) -> Felt:
        """Inject it, repair it, and return whether it had an effect."""
        try:
            with due.kind.at_work(self._site, dice) as question:
                self._note(f"{due.number} {due.kind.name}: begins")
                time.sleep(due.kind.seconds * self._site.plan.scale)
                return question()
        except _NOT_DONE as error:
            self._note(f"{due.number} {due.kind.name}: could not be done: {error!r}")
            return Felt.NOT

    def _note(self, text: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def settled(site: Site, sent: Sequence[SentStudy], seconds: float) -> bool:
    """Return whether every study and job ended within the time, without intervention."""
    return _until(lambda: not open_jobs(site, sent), seconds)


def tidied(site: Site, seconds: float) -> list[str]:
    """Return the files of expired claims that the sweeper has not removed from the outbox in time.

    It waits for the end of a lease first: a suspended process may write files when it continues.
    """
    if not seconds:
        return []
    time.sleep(max(site.settings.reading.lease_seconds, site.settings.delivery.lease_seconds))
    _until(lambda: not void_results(site), seconds)
    outbox = site.settings.outbox_dir
    return [f"left over in the outbox: {path.relative_to(outbox)}" for path in void_results(site)]


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(1)
    return holds


def report(site: Site, injector: FaultInjector, senders: Sequence[Sender], found: Account) -> None:
    """Print the tally."""
    print("times   amid work  unfelt")
    for name in sorted(injector.done | injector.unfelt):
        print(
            f"{injector.done[name]:5} {injector.amid_work[name]:10} {injector.unfelt[name]:7}   {name}"
        )
    print(
        f"{injector.done.total():5}  faults that were felt; {injector.unfelt.total()} more were not"
    )
    _report_load(senders)
    jobs = site.store.jobs(limit=100_000)
    states = Counter(
        f"{job.state}{' ' + job.reason_code if job.reason_code else ''}" for job in jobs
    )
    print(f"{len(jobs)} jobs: {', '.join(f'{n} {state}' for state, n in sorted(states.items()))}")
    print(
        f"{found.objects} objects in the PACS, {found.drafts} of them drafts, with {found.texts[0]} "
        f"different texts about {found.texts[1]} pictures; {found.removed} images removed early, "
        f"{found.unseen} of which were not seen in the spool before"
    )
    print(
        f"`up` ended by itself {site.ends_by_itself} times; answers harmed by the proxy: "
        f"{site.proxy.harmed}; objects stored under a new UID: {found.copies}; "
        f"tracebacks in the log: {site.log().count('Traceback (')}"
    )
    log = site.log()
    print("events: " + ", ".join(f"{log.count(f'] {each} ')} {each}" for each in _EVENTS))
    for fault in found.broken:
        print(f"BROKEN: {fault}")
    print(f"{len(found.broken)} promises broken")


def _report_load(senders: Sequence[Sender]) -> None:
    studies = [study for sender in senders for study in sender.studies]
    images = [image for study in studies for image in study.images]
    print(
        f"{len(studies)} studies, {len(images)} images, {sum(image.acknowledged for image in images)} "
        f"acknowledgements; {sum(sender.failures for sender in senders)} of "
        f"{sum(sender.tries for sender in senders)} associations and requests had to be repeated"
    )


def _planned(options: argparse.Namespace) -> Plan:
    return Plan(
        database=options.database,
        scale=options.scale,
        receivers=options.receivers,
        has_own_network=enter_own_network(),
        second_timeout=options.second_timeout,
    )


def run(folder: Path, options: argparse.Namespace) -> int:
    """Return the number of broken guarantees."""
    site = Site(folder, _planned(options))
    images = SyntheticImages(folder / "images", options.seed)
    plan = list(drawn(kinds(site), options.faults, options.every, random.Random(options.seed)))
    injector = FaultInjector(site, options.seed, folder / "faults.log")
    senders = [
        Sender(site, images, number=number, seed=options.seed, pause=options.pause)
        for number in range(options.senders)
    ]
    watch = Watch(site, senders)
    try:
        site.start()
        begun = time.monotonic()
        for thread in (*senders, watch):
            thread.start()
        injector.run(plan)
        print(f"the last fault was over after {time.monotonic() - begun:.0f} s", flush=True)
        broken = list(held_apart(site, options.apart)) if options.apart else []
        for sender in senders:
            sender.stop()
        broken += [f"{each.name} did not end" for each in _late(senders, options.settle)]
        studies = [study for sender in senders for study in sender.studies]
        if not settled(site, studies, options.settle):
            broken.append(f"{open_jobs(site, studies)} jobs or studies have no end yet")
        print(f"all was at its end after {time.monotonic() - begun:.0f} s", flush=True)
        watch.stop()
        broken += tidied(site, options.tidy)
        found = account(site, studies)
        found.broken += broken
        report(site, injector, senders, found)
    finally:
        site.stop()
    return len(found.broken)


def _late(senders: Sequence[Sender], seconds: float) -> list[Sender]:
    """Return those that still wait for an acknowledgement after the time, or died."""
    deadline = time.monotonic() + seconds
    for sender in senders:
        sender.join(max(0.0, deadline - time.monotonic()))
    return [sender for sender in senders if not sender.has_ended]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--every", type=float, default=3.0, help="mean seconds between two faults")
    parser.add_argument(
        "--scale", type=float, default=0.1, help="of time limits and faults' lengths"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--receivers", type=int, default=1, help="receiver processes on one port")
    parser.add_argument("--senders", type=int, default=3)
    parser.add_argument("--pause", type=float, default=6.0, help="mean seconds between two studies")
    parser.add_argument(
        "--settle", type=float, default=300.0, help="seconds for all to come to an end"
    )
    parser.add_argument(
        "--tidy",
        type=float,
        default=300.0,
        help="seconds for the sweeper to tidy up the outbox; 0: do not check",
    )
    parser.add_argument(
        "--apart",
        type=float,
        default=30.0,
        help="seconds of each way in which the second PACS misbehaves alone; 0: none",
    )
    parser.add_argument(
        "--second-timeout", type=float, default=30.0, help="seconds; the timeout of the second PACS"
    )
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10_000)
    print(f"seed {options.seed}, {options.database}, scale {options.scale:g}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="wetread-faults-"))
    if run(folder, options):
        print(f"the service's log and the faults' moments are in {folder}")
        print(f"again: python benchmarks/faults.py {' '.join(_command_line(options))}")
        sys.exit(1)
    shutil.rmtree(folder)


def _command_line(options: argparse.Namespace) -> list[str]:
    return [f"--{name.replace('_', '-')} {value}" for name, value in vars(options).items()]


if __name__ == "__main__":
    main()
