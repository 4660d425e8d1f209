"""Measure three shortcuts of the code: processor time with each of them and without it.

    python benchmarks/shortcuts.py [--rounds 15] [--only values|jobs|receive]

The variants alternate in one process (those of the receiver: in a process each), and processor time is
compared, not time: other load on the machine then matters little. It prints for each variant the median
of the rounds and the part of the step that the shortcut saves (docs/performance.md).

- jobs: the statements of `Store.schedule_all` compiled once, against SQLAlchemy's own cache (SQLite);
- values: the shortcut for plain values in `dicom/parsing/value_decoding.py`, against
pydicom alone;
- receive: the fast path of the receiver against the plain path, images of two sizes on loopback.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
from pydicom.filereader import read_file_meta_info
from sqlalchemy import Connection, CursorResult, Executable, insert

from dicom.parsing import header, value_decoding
from dicom.phantom import as_dataset, draw, write
from dicom.scu.store_scu import send_files
from dicom.spool.ingest import ASKED_ON_ARRIVAL
from dicom.study import Instance
from service.database import schema
from service.database.tables import EventRow, JobRow
from service.records import ArrivedInstance, JobRequest
from service.store import Store
from service.store.statements import jobs
from service.store.statements.compiled import Build, Prepared, Statements, Values

_TABLES = {jobs.new_jobs: JobRow.__table__, jobs.new_events: EventRow.__table__}


@dataclass
class CoreStatement:
    """A statement that SQLAlchemy Core executes, compiled once by its own cache."""

    clause: Executable

    def execute(self, connection: Connection, given: Values) -> CursorResult[*tuple[Any, ...]]:
        """Execute it with values by name."""
        return connection.execute(self.clause, dict(given))


class CoreStatements(Statements):
    """The statements of jobs by SQLAlchemy Core, each built anew."""

    def get(self, build: Build, count: int) -> Prepared:
        """Return a statement of jobs by Core, any other one as usual."""
        if build.__module__ != jobs.__name__:
            return super().get(build, count)
        return CoreStatement(build(self._dialect, count))  # type: ignore[arg-type, return-value]

    def insert(self, connection: Connection, build: Build, rows: Sequence[Values]) -> None:
        """Insert rows by Core."""
        connection.execute(insert(_TABLES[build]), list(rows))


class KeptStatements(CoreStatements):
    """The same, each built once."""

    get = cache(CoreStatements.get)


_WAYS = {
    "prepared": Statements,
    "SQLAlchemy": CoreStatements,
    "SQLAlchemy, kept": KeptStatements,
}


def schedule(store: Store, numbers: Iterator[int], *, at_once: int) -> Callable[[], float]:
    """Return a function that creates jobs and returns the processor seconds of each."""

    def once() -> float:
        images = [_image(next(numbers)) for _ in range(20 * at_once)]
        store.add_instances(images)
        wanted = [
            JobRequest(study_instance_uid=each.instance.study_instance_uid, model="m", version="1")
            for each in images
        ]
        begun = time.process_time()
        for at in range(0, len(wanted), at_once):
            store.schedule_all(wanted[at : at + at_once], actor="intake", reason="Released.")
        return (time.process_time() - begun) / 20

    return once


def _image(number: int) -> ArrivedInstance:
    uid = f"1.2.{number}"
    instance = Instance(
        sop_instance_uid=f"{uid}.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid=f"{uid}.1",
        study_instance_uid=uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path(f"/spool/{number}.dcm"),
        digest=f"{number:064x}",
        size=2**20,
    )
    return ArrivedInstance(
        instance=instance, calling_ae="A", association_id="B", eligible=True, urgent=False
    )


def measure_jobs(folder: Path, rounds: int) -> None:
    numbers = iter(range(10**9))
    for at_once in (1, 16):
        ways = {}
        for name, kind in _WAYS.items():
            url = f"sqlite:///{folder / f'{name}{at_once}.db'}"
            schema.upgrade(url)
            store = Store(url)
            store._statements = kind(store._engine.dialect)  # noqa: SLF001 - what is measured
            ways[name] = schedule(store, numbers, at_once=at_once)
        compare(f"jobs: schedule_all of {at_once}", ways, rounds)


def measure_values(folder: Path, rounds: int) -> None:
    path = folder / "image.dcm"
    write(as_dataset(draw(1, rows=1024, columns=1024), seed=1), path)
    meta = read_file_meta_info(path)
    head = path.read_bytes()[128 + 4 + 12 + meta.FileMetaInformationGroupLength :]
    arriving = partial(
        header.read_arriving_header,
        head[: 64 * 2**10],
        size=len(head),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
        path=path,
        only=ASKED_ON_ARRIVAL,
    )
    steps = {"on arrival": arriving, "whole": partial(header.read_header, path)}
    for what, step in steps.items():
        ways = {
            "both": _reading(step, find=True, decode=True),
            "without read_found": _reading(step, find=False, decode=True),
            "without _simple": _reading(step, find=True, decode=False),
            "pydicom alone": _reading(step, find=False, decode=False),
        }
        compare(f"values: the header of an image, {what}", ways, rounds)


def _reading(step: Callable[[], object], *, find: bool, decode: bool) -> Callable[[], float]:
    found, simple = header.read_found, value_decoding._simple  # noqa: SLF001 - what is measured

    def nothing(*_: object, **__: object) -> None:
        """Leave it to pydicom."""

    def once() -> float:
        header.read_found = found if find else nothing
        value_decoding._simple = simple if decode else nothing  # noqa: SLF001 - what is measured
        try:
            begun = time.process_time()
            for _ in range(100):
                step()
            return (time.process_time() - begun) / 100
        finally:
            header.read_found, value_decoding._simple = found, simple  # noqa: SLF001 - as before

    return once


RECEIVER = """
import sys
from pathlib import Path
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool
class Handler:
    def admit(self, association): return None
    def unavailable(self, association): return None
    def record(self, arrived): return [None for _ in arrived]
    def association_ended(self, association, outcome): return None
settings = ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0, fast=sys.argv[2] == "fast")
server = StorageSCP(settings, Spool(Path(sys.argv[1])), Handler())
server.start()
print(server.port, flush=True)
sys.stdin.read()
"""


def measure_receive(folder: Path, rounds: int) -> None:
    for size in (256, 2048):
        files = []
        for number in range(100 if size == 256 else 20):
            path = folder / f"{size}-{number}.dcm"
            write(as_dataset(draw(1, rows=size, columns=size), seed=size + number), path)
            files.append(path)
        ways, processes = {}, []
        for name in ("fast", "plain"):
            process = subprocess.Popen(
                [sys.executable, "-c", RECEIVER, str(folder / f"spool-{name}-{size}"), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            processes.append(process)
            ways[name] = _send(process, files)
        try:
            compare(f"receive: an image of {size} x {size}", ways, rounds)
        finally:
            for process in processes:
                process.communicate("")


def _send(process: "subprocess.Popen[str]", files: list[Path]) -> Callable[[], float]:
    port = int(process.stdout.readline()) if process.stdout else 0
    receiver = psutil.Process(process.pid)

    def once() -> float:
        before = receiver.cpu_times()
        outcomes = send_files(files, host="127.0.0.1", port=port, calling="A", called="WETREAD")
        after = receiver.cpu_times()
        if any(each.status != 0 for each in outcomes):
            raise SystemExit(f"not stored: {outcomes}")
        return (after.user + after.system - before.user - before.system) / len(files)

    return once


def compare(what: str, ways: dict[str, Callable[[], float]], rounds: int) -> None:
    """Run the variants alternately; print the median of each and the saving of the first."""
    for way in ways.values():
        way()  # what is compiled or imported at first use
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(way())
    medians = {name: statistics.median(each) for name, each in taken.items()}
    first = next(iter(medians.values()))
    print(what)
    for name, median in medians.items():
        print(f"    {name:<20} {median * 1e3:8.3f} ms   saved {1 - first / median:6.1%}")


MEASURED = {"values": measure_values, "jobs": measure_jobs, "receive": measure_receive}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=tuple(MEASURED), action="append")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or MEASURED:
            MEASURED[name](Path(folder), options.rounds)


if __name__ == "__main__":
    main()
