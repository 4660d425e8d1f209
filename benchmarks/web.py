"""Measures the pages of the web process over a large database: each page, filter and search.

    .venv/bin/python benchmarks/web.py                                  # SQLite, 100,000 jobs
    .venv/bin/python benchmarks/web.py --postgres URL --jobs 1000000    # an empty PostgreSQL database
    .venv/bin/python benchmarks/web.py --postgres private --jobs 200000 # a server of its own

It fills an empty database by SQL (10 events for each job), starts `wetread web`, logs in as an
administrator and a radiologist, and requests each page 20 times, first alone and then while 50 live
streams are open. It prints a table (median and 95th percentile in ms, the CPU time of the web process
for one request, and with a private server the time in its statements) and writes JSON. Exit status 1: a
page exceeded 200 ms at the 95th percentile.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from web_rows import ANALYZE, SECONDARY_INDEXES, STATEMENT_TIME, STATEMENTS

from service.accounts import Role, SessionLimits, new_secret
from service.database import schema
from service.jobs import JobState
from service.store import Store
from service.store.job_lists.criteria import JobFilter
from service.throughput.hours import hours_between
from service.web.access.transport import SECURE_COOKIE

LIMIT_MS = 200
_LIMITS = SessionLimits(idle=timedelta(hours=1), absolute=timedelta(hours=12))
_START_SECONDS = 60
_MONTH = 31  # days
_SETTINGS = """
data_dir = "{folder}"
[database]
url = "{url}"
[web]
port = 0
[broker]
url = "redis://127.0.0.1:1/0"
[receiver]
open = true
[[destinations]]
name = "pacs"
kind = "folder"
path = "{folder}/out"
[[destinations]]
name = "archive"
kind = "folder"
path = "{folder}/archive"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page to measure: what it is, its path, and whether a radiologist asks for it."""

    name: str
    path: str
    reads: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Times of the answers to one page, in milliseconds.

    Attributes:
        cpu: CPU time of the web process for one request; that of SQLite is in it.
        database: Time in the statements of one request (pg_stat_statements); None if not known.
    """

    page: Page
    times: tuple[float, ...]
    status: int
    cpu: float
    database: float | None

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        """The 95th percentile, by the nearest rank."""
        ordered = sorted(self.times)
        return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The web process: its address, the process, and its database if that has pg_stat_statements."""

    address: str
    process: psutil.Process
    engine: Engine | None

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        used = self.process.cpu_times()
        return used.user + used.system

    def database_seconds(self) -> float | None:
        """Return the time of all statements of the database since the last call; None if not known."""
        if self.engine is None:
            return None
        with self.engine.begin() as connection:
            milliseconds = connection.exec_driver_sql(STATEMENT_TIME).scalar()
            connection.exec_driver_sql("SELECT pg_stat_statements_reset()")
        return float(milliseconds or 0) / 1000


def pages_of(store: Store) -> list[Page]:
    """Return the pages, with studies and jobs of this database in their paths."""
    newest = store.jobs(limit=200)
    job, tail = newest[100], newest[100].study_instance_uid[-12:]
    middle = store.jobs(limit=1, before=newest[-1].id)[0]
    study = f"studies/{job.study_instance_uid}"
    undecided = store.list_jobs(JobFilter(states=(JobState.COMPLETED,)), limit=200)[-1]
    return [
        Page(name="queue", path="queue"),
        Page(name="queue, older page", path=f"queue?before={middle.id}"),
        Page(name="state: waiting", path="queue?state=SCHEDULED"),
        Page(name="state: delivered", path="queue?state=COMPLETED"),
        Page(name="state: failed", path="queue?state=FAILED"),
        Page(name="state: withdrawn", path="queue?state=WITHDRAWN"),
        Page(name="calling AE", path="queue?calling_ae=AE_7"),
        Page(name="calling AE that never sent", path="queue?calling_ae=NEVER"),
        Page(name="failed, AE, cause", path="queue?state=FAILED&calling_ae=AE_7&cause=PIXEL_ERROR"),
        Page(name="cause, any state", path="queue?cause=NOT_FRONTAL"),
        Page(name="cause that never was", path="queue?cause=NEVER"),
        Page(name="failed to a destination", path="queue?state=FAILED&destination=pacs"),
        Page(name="destination, common", path="queue?destination=pacs"),
        Page(name="destination, rare", path="queue?destination=archive"),
        Page(name="model, rare", path="queue?model=rare"),
        Page(name="older than 30 days", path="queue?older_than=30d"),
        Page(
            name="delivered, AE, 30 days",
            path="queue?state=COMPLETED&calling_ae=AE_7&older_than=30d",
        ),
        Page(name="text: part of a UID", path=f"queue?text={tail}"),
        Page(name="text: every UID", path="queue?text=1.2.826"),
        Page(name="text: patient", path="queue?text=name77"),
        Page(name="text: matches nothing", path="queue?text=nothing-of-this"),
        Page(name="text: calling AE", path="queue?text=ae_7"),
        Page(
            name="batch of a cause, counted",
            path="queue/batch?action=retry&scope=filter&state=FAILED&cause=PIXEL_ERROR",
        ),
        Page(name="study", path=study),
        Page(name="JSON: newest jobs", path="api/jobs"),
        Page(name="JSON: job", path=f"api/jobs/{job.id}"),
        Page(name="overview, day", path="admin"),
        Page(name="overview, month", path="admin?range=month"),
        Page(name="audit", path="admin/audit"),
        Page(name="audit of a person", path="admin/audit?person=reader7"),
        Page(name="audit, person that never was", path="admin/audit?person=nobody"),
        Page(name="audit of a study", path=f"admin/audit?study={job.study_instance_uid}"),
        Page(name="alerts", path="alerts"),
        Page(name="network", path="network"),
        Page(name="models", path="models"),
        Page(name="monitor", path="monitor"),
        Page(name="heartbeat", path="heartbeat"),
        Page(name="search: a finding", path="search?q=pneumothorax"),
        Page(name="search: rare word", path="search?q=cervical+rib"),
        Page(name="search: every text", path="search?q=no+pleural+effusion"),
        Page(name="worklist", path="read", reads=True),
        Page(name="worklist, later page", path=f"read?after={undecided.id}", reads=True),
        Page(name="worklist, search", path="read?q=name77", reads=True),
        Page(name="worklist, every patient", path="read?q=given", reads=True),
        Page(name="worklist: study", path=f"read/{undecided.id}", reads=True),
        Page(name="mine", path="mine", reads=True),
    ]


def fill(url: str, jobs: int) -> float:
    """Fill the empty database; return the seconds that it took."""
    begun = time.perf_counter()
    schema.upgrade(url)
    engine = create_engine(url)
    now = datetime.now(UTC)
    with engine.begin() as connection, quick_inserts(connection):
        for statement in STATEMENTS[engine.dialect.name]:
            # Trusted numbers: a temporary table takes no bound parameters in PostgreSQL.
            connection.exec_driver_sql(statement.format(jobs=jobs, now=now.timestamp()))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(ANALYZE[engine.dialect.name])
    engine.dispose()
    return time.perf_counter() - begun


@contextlib.contextmanager
def quick_inserts(connection: Connection) -> Iterator[None]:
    """Insert without waiting for the disk; in PostgreSQL without indexes, which are made afterwards."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        yield
        return
    indexes = connection.exec_driver_sql(SECONDARY_INDEXES).all()
    for name, _ in indexes:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    # Foreign keys are not checked: the rows refer to rows of the same statements.
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
    yield
    for _, definition in indexes:
        connection.exec_driver_sql(definition)


def compute_figures(store: Store) -> float:
    """Compute the hourly figures of a month, as the sweeper does; return the seconds that it took."""
    begun = time.perf_counter()
    now = datetime.now(UTC)
    hours = hours_between(now - timedelta(days=_MONTH), now)
    store.compute_hours(hours)
    return time.perf_counter() - begun


@contextlib.contextmanager
def web_process(folder: Path, url: str) -> Iterator[Web]:
    """Start `wetread web`, and end it."""
    settings = folder / "wetread.toml"
    settings.write_text(_SETTINGS.format(folder=folder, url=url))
    program = shutil.which("wetread", path=str(Path(sys.executable).parent)) or "wetread"
    environment = {**os.environ, "WETREAD_CONFIG": str(settings)}
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen([program, "web"], env=environment, stdout=log, stderr=log)
    try:
        address = _address(folder / "run" / "web.json", process)
        yield Web(address=address, process=psutil.Process(process.pid), engine=_measuring(url))
    finally:
        process.terminate()
        process.wait(20)


def _measuring(url: str) -> Engine | None:
    """Return an engine that reads pg_stat_statements; None where the server does not load it."""
    engine = create_engine(url)
    if engine.dialect.name != "postgresql":
        return None
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            connection.exec_driver_sql("SELECT pg_stat_statements_reset()")
    except DBAPIError:
        return None
    return engine


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"wetread web did not start: see {file.parent.parent / 'web.log'}")
        time.sleep(0.1)
    address: str = json.loads(file.read_text())["url"]
    return address


def cookie_of(store: Store, login: str, role: Role) -> dict[str, str]:
    """Return the header of a new person's login."""
    account = store.add_person(
        login, roles=frozenset({role}), password_hash="", actor="benchmark", display_name=login
    )
    token, digest = new_secret()
    store.open_session(digest, account.person.id, address="127.0.0.1", limits=_LIMITS)
    return {"Cookie": f"{SECURE_COOKIE}={token}"}


async def measure(
    client: httpx.AsyncClient, web: Web, headers: Sequence[dict[str, str]], page: Page, times: int
) -> Measured:
    """Request a page `times` times, after one time that is not counted."""
    status = (await client.get(page.path, headers=headers[page.reads])).status_code
    taken = []
    web.database_seconds()
    before = web.cpu_seconds()
    for _ in range(times):
        begun = time.perf_counter()
        await client.get(page.path, headers=headers[page.reads])
        taken.append((time.perf_counter() - begun) * 1000)
    cpu = (web.cpu_seconds() - before) * 1000 / times
    seconds = web.database_seconds()
    database = None if seconds is None else seconds * 1000 / times
    return Measured(page=page, times=tuple(taken), status=status, cpu=cpu, database=database)


@contextlib.asynccontextmanager
async def streams(
    client: httpx.AsyncClient, number: int, header: dict[str, str]
) -> AsyncIterator[list[int]]:
    """Hold live streams open, half of one view and half of views of their own; yield their events."""
    events = [0]
    views = ["live/queue" if n % 2 else f"live/queue?older_than={n + 1}m" for n in range(number)]

    async def follow(path: str) -> None:
        async with client.stream("GET", path, headers=header, timeout=None) as answer:
            async for line in answer.aiter_lines():
                events[0] += line.startswith("data:")

    tasks = [asyncio.create_task(follow(path)) for path in views]
    deadline = time.monotonic() + _START_SECONDS
    while events[0] < number and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    try:
        yield events
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run(
    web: Web, store: Store, headers: Sequence[dict[str, str]], options: argparse.Namespace
) -> tuple[list[Measured], list[Measured], int]:
    """Measure alone, then with live streams; return both and the events that the streams brought."""
    pages = pages_of(store)
    limits = httpx.Limits(max_connections=options.streams + 4)
    async with httpx.AsyncClient(base_url=web.address, timeout=30, limits=limits) as client:
        times = options.requests
        alone = [await measure(client, web, headers, page, times) for page in pages]
        async with streams(client, options.streams, headers[0]) as events:
            watched = [await measure(client, web, headers, page, times) for page in pages]
        return alone, watched, events[0]


def report(alone: Sequence[Measured], watched: Sequence[Measured], streams_open: int) -> bool:
    """Print the table; return whether every page stayed within the limit."""
    head = f"{'page (ms)':28} {'status':>6} {'p50':>7} {'p95':>7} {'CPU':>6} {'db':>6}"
    print(f"{head}   with {streams_open} streams: p50, p95")
    for one, two in zip(alone, watched, strict=True):
        mark = " *" if max(one.p95, two.p95) > LIMIT_MS else ""
        print(
            f"{one.page.name:28} {one.status:6} {one.p50:7.1f} {one.p95:7.1f} {one.cpu:6.1f} "
            f"{'-' if one.database is None else round(one.database, 1):>6} "
            f"{two.p50:7.1f} {two.p95:7.1f}{mark}"
        )
    return all(each.p95 <= LIMIT_MS and each.status == 200 for each in (*alone, *watched))


def as_json(
    options: argparse.Namespace,
    seconds: float,
    alone: Sequence[Measured],
    watched: Sequence[Measured],
) -> dict[str, Any]:
    """Return the figures and a description of the machine."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "database": "postgresql" if options.postgres else "sqlite",
        "jobs": options.jobs,
        "fill_seconds": round(seconds, 1),
        "streams": options.streams,
        "pages": [
            {
                "name": one.page.name,
                "path": one.page.path,
                "status": one.status,
                "p50_ms": round(one.p50, 1),
                "p95_ms": round(one.p95, 1),
                "cpu_ms": round(one.cpu, 1),
                "database_ms": None if one.database is None else round(one.database, 1),
                "p50_ms_with_streams": round(two.p50, 1),
                "p95_ms_with_streams": round(two.p95, 1),
            }
            for one, two in zip(alone, watched, strict=True)
        ],
    }


@contextlib.contextmanager
def database(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database: SQLite, one that is given, or of a private server."""
    if options.postgres == "private":
        with private_server() as url:
            yield url
    else:
        yield options.postgres or f"sqlite:///{folder / 'wetread.db'}"


@contextlib.contextmanager
def private_server() -> Iterator[str]:
    """Start a PostgreSQL server with 1 GB of shared buffers in a temporary folder."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.servers import PostgresServer  # noqa: PLC0415 - only for this option

    class Server(PostgresServer):
        """The tests' server with more memory."""

        def command(self) -> list[str]:
            """Return the command line."""
            base = [each.replace("=16MB", "=1GB") for each in super().command()]
            more = ("shared_preload_libraries=pg_stat_statements", "max_wal_size=8GB")
            return [*base, *(word for each in more for word in ("-c", each))]

    with tempfile.TemporaryDirectory(prefix="wetread-benchmark-") as name:
        Path(name).chmod(0o755)
        with Server(Path(name)) as server:
            yield server.new_database()


def main() -> int:
    """Fill, measure, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--postgres", default="", help="URL of a database, or `private`")
    parser.add_argument("--filled", action="store_true", help="the database is filled already")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wetread-web-") as name:
        folder = Path(name)
        with database(options, folder) as url:
            seconds = 0.0 if options.filled else fill(url, options.jobs)
            print(f"{options.jobs:,} jobs in {seconds:.0f} s; load {os.getloadavg()[0]:.1f}")
            store = Store(url)
            print(f"hourly figures of {_MONTH} days in {compute_figures(store):.0f} s")
            headers = (
                cookie_of(store, "ann", Role.ADMIN),
                cookie_of(store, "kim", Role.RADIOLOGIST),
            )
            with web_process(folder, url) as web:
                alone, watched, events = asyncio.run(run(web, store, headers, options))
            store.close()
    kept = report(alone, watched, options.streams)
    print(f"{events} events on {options.streams} streams; load {os.getloadavg()[0]:.1f}")
    if options.json:
        options.json.write_text(json.dumps(as_json(options, seconds, alone, watched), indent=1))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
