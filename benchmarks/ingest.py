"""Receivers side by side: Wetread's, Orthanc's and DCMTK's, in one interleaved run.

    python benchmarks/ingest.py --peers [--quick] [--images A,B,C] [--associations 1,4,16,64]
                                [--repeat 5] [--receivers wetread,...] [--keep] [--results FILE]

Images: A 0.5 MB and B 10 MB uncompressed, C about 4 MB JPEG lossless; synthetic, with UIDs of their own
in every run. The sender is DCMTK's dcmsend, one process for each association. Wetread runs as `wetread
receive` with sync and its database row; the others with their defaults and with their fastest settings.
Every round visits all receivers before the next; a first one, which does not count, warms processes and
memory. Only ratios count: MB/s are this machine's. The last table gives them: MB/s, and so objects/s,
of Wetread over those of Orthanc and storescp at their best.

Nothing is deleted before the end: for each new file ext4 examines all files deleted beside it in the
last five minutes, which raised 0.02 ms to 1 ms. So don't begin soon after deleting thousands. The disk
space of large images is freed after each kind and number, or when the disk is full; with --keep it
stays: the host of a virtual machine may take memory that is free, and the next writer pays 2 s of CPU a
GB to get it again.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from ingest_report import Measured, as_ratios, as_table
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, write

# Objects in a run, by image and associations: long enough to measure, short enough to repeat.
# Starting a sender takes 10 to 20 ms of a core, so that of 64 a second: that must not be half the run.
COUNTS: Final = {"A": (128, 256, 384, 512), "B": (32, 64, 96, 256), "C": (32, 64, 128, 512)}
SIZES: Final = {"A": (512, 512), "B": (2500, 2048), "C": (2500, 2048)}
SENDER: Final = ("dcmsend", "-nh", "-nuc", "-dn", "--max-send-pdu", "131072", "-aec", "WETREAD")
# File names of the receivers' databases and logs.
RECORDS: Final = ("wetread.db", "index", "log")
# Nagle's algorithm costs 40 ms for each small exchange: off for every receiver that has a setting
# for it.
QUICK_SOCKETS: Final = {"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}
SYNC_ON_CLOSE: Final = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int fclose(FILE *file) {
  static int (*real)(FILE *);
  if (!real) real = dlsym(RTLD_NEXT, "fclose");
  fflush(file);
  fsync(fileno(file));
  return real(file);
}
"""


@dataclass
class Receiver:
    """One way to run one receiver.

    Attributes:
        command: Given the folder and the port, returns its command line, having written its files.
        environment: Variables for it.
        beside: Programs that it needs, started first.
    """

    name: str
    command: Callable[[Path, int], list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    beside: Callable[[Path, int], list[str]] | None = None


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wetread(processes: int = 1) -> Receiver:
    """Return Wetread's receiver: file and folder synced, row committed."""

    def command(folder: Path, port: int) -> list[str]:
        (folder / "wetread.toml").write_text(
            f'data_dir = "{folder}/data"\n[receiver]\nhost = "127.0.0.1"\nport = {port}\nopen = true\n'
            f'processes = {processes}\n[broker]\nurl = "redis://127.0.0.1:{port + 1}/0"\n'
            '[log]\nlevel = "info"\nformat = "json"\n'
        )
        python = [sys.executable, "-m", "service.cli"]
        configured = {**os.environ, "WETREAD_CONFIG": str(folder / "wetread.toml")}
        subprocess.run([*python, "db", "upgrade"], env=configured, check=True, capture_output=True)
        return ["env", f"WETREAD_CONFIG={folder}/wetread.toml", *python, "receive"]

    def broker(folder: Path, port: int) -> list[str]:
        return ["redis-server", "--port", str(port + 1), "--save", "", "--dir", str(folder)]

    name = "wetread" if processes == 1 else f"wetread, {processes} processes"
    return Receiver(name, command, {}, broker)


def orthanc(*, best: bool) -> Receiver:
    """Return Orthanc; it syncs by default and keeps doing so."""

    def command(folder: Path, port: int) -> list[str]:
        settings = {
            "StorageDirectory": f"{folder}/storage",
            "DicomPort": port,
            "DicomAet": "WETREAD",
            "HttpServerEnabled": False,
            "DicomAlwaysAllowStore": True,
            "Plugins": [],
        }
        if best:
            settings |= {"MaximumPduLength": 131072, "DicomThreadsCount": 4}
        (folder / "orthanc.json").write_text(json.dumps(settings))
        return ["Orthanc", str(folder / "orthanc.json")]

    return Receiver(f"Orthanc, {'best' if best else 'defaults'}", command, best_sockets(best))


def storescp(*, best: bool, synced: bool = False) -> Receiver:
    """Return DCMTK's storescp; with `synced`, fsync at every fclose is forced upon it."""

    def command(folder: Path, port: int) -> list[str]:
        (folder / "images").mkdir()
        faster = ["--max-pdu", "131072"] if best else []
        program = ["storescp", "--fork", "+xa", "-aet", "WETREAD", *faster]
        preload = ["env", f"LD_PRELOAD={sync_library(folder)}"] if synced else []
        return [*preload, *program, "-od", str(folder / "images"), str(port)]

    what = ("best, fsync" if synced else "best, no fsync") if best else "defaults, no fsync"
    return Receiver(f"storescp, {what}", command, best_sockets(best))


def best_sockets(best: bool) -> dict[str, str]:
    """Return the variables that make DCMTK's network layer fast."""
    return QUICK_SOCKETS if best else {}


def sync_library(folder: Path) -> Path:
    """Return a library that syncs each file on closing."""
    source, library = folder / "sync.c", folder / "sync.so"
    source.write_text(SYNC_ON_CLOSE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    ctypes.CDLL(str(library))
    return library


RECEIVERS: Final = {
    "wetread": wetread(),
    "wetread2": wetread(2),
    "orthanc": orthanc(best=False),
    "orthanc-best": orthanc(best=True),
    "storescp": storescp(best=False),
    "storescp-best": storescp(best=True),
    "storescp-fsync": storescp(best=True, synced=True),
}


class Running:
    """A receiver that is up, in a folder of its own."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        self.receiver = receiver
        self.port = free_port()
        self._folder = folder
        folder.mkdir()
        self._log = (folder / "log").open("wb")
        if receiver.beside:
            self._beside = self._start(receiver.beside(folder, self.port), {})
        self.process = self._start(receiver.command(folder, self.port), receiver.environment)
        self._await()

    def _start(self, command: Sequence[str], environment: dict[str, str]) -> psutil.Popen:
        return psutil.Popen(
            command,
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def _await(self) -> None:
        end = time.monotonic() + 60
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"{self.receiver.name} did not start: {self._folder / 'log'}")
            time.sleep(0.05)

    def cpu(self) -> float:
        """Return the CPU seconds of its processes, those that have ended included."""
        used = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                used += sum(process.cpu_times()[:4])
        return used

    def memory(self) -> float:
        """Return the private memory of its processes now, in MB."""
        held = 0
        for process in self._tree():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                held += sum(int(kb) for kb in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", status))
        return held / 1024

    def _tree(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def stop(self) -> None:
        """End it."""
        for process in (self.process, getattr(self, "_beside", None)):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except psutil.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        self._log.close()


def master_image(image: str, folder: Path) -> bytes:
    """Return one synthetic image of a kind, as a PS3.10 file."""
    rows, columns = SIZES[image]
    drawn = as_dataset(draw(seed=1, rows=rows, columns=columns), seed=1)
    path = folder / f"{image}.dcm"
    write(drawn, path)
    if image == "C":
        compressed = folder / "compressed.dcm"
        subprocess.run(["dcmcjpeg", "+e1", path, compressed], check=True)
        path = compressed
    return path.read_bytes()


def write_run(master: bytes, count: int, folder: Path) -> list[Path]:
    """Write `count` images that differ in their UIDs, which keep their lengths."""
    path = folder / "master.dcm"
    path.write_bytes(master)
    header = dcmread(path, stop_before_pixels=True)
    path.unlink()
    uids = [str(header.SOPInstanceUID), str(header.SeriesInstanceUID), str(header.StudyInstanceUID)]
    run = np.random.default_rng().integers(10**11)
    images = []
    for number in range(count):
        # The first megabyte holds all of them; the rest is not copied.
        head = master[: 2**20]
        for each in dict.fromkeys(uids):
            tail = f"{(run + number) % 10**12:012d}"
            head = head.replace(each.encode(), each[:-12].encode() + tail.encode())
        images.append(folder / f"{number:05d}.dcm")
        with images[-1].open("wb") as file:
            file.write(head)
            file.write(memoryview(master)[2**20 :])
    return images


def send(running: Running, images: list[Path], associations: int) -> tuple[float, int]:
    """Send the images over so many associations; return the seconds and how many failed."""
    parts = [images[number::associations] for number in range(associations)]
    environment = {**os.environ, **QUICK_SOCKETS}
    begun = time.perf_counter()
    senders = [
        subprocess.Popen(
            [*SENDER, "-v", "127.0.0.1", str(running.port), *part],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in parts
    ]
    outputs = [""] * len(senders)

    def listen(number: int) -> None:
        outputs[number] = senders[number].communicate(timeout=300)[1]

    listeners = [threading.Thread(target=listen, args=(number,)) for number in range(len(senders))]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    seconds = time.perf_counter() - begun
    stored = sum(len(re.findall(r"Received C-STORE Response \(Success\)", log)) for log in outputs)
    return seconds, len(images) - stored


def measure(running: Running, image: str, images: list[Path], associations: int) -> Measured:
    """Return one run's figures."""
    before, peak, over = running.cpu(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.05):
            peak = max(peak, running.memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    size = sum(path.stat().st_size for path in images)
    seconds, failures = send(running, images, associations)
    time.sleep(0.3)
    over.set()
    watcher.join()
    return Measured(
        receiver=running.receiver.name,
        image=image,
        associations=associations,
        objects=len(images),
        failures=failures,
        seconds=seconds,
        megabytes=size / 1e6,
        cpu_seconds=running.cpu() - before,
        peak_mb=peak,
    )


@contextlib.contextmanager
def receivers_up(names: Sequence[str], folder: Path) -> Iterator[list[Running]]:
    """Have these receivers run, each in a sub-folder."""
    running: list[Running] = []
    try:
        for name in names:  # one by one: receivers that started are stopped if the next one fails
            running += [Running(RECEIVERS[name], folder / name)]
        yield running
    finally:
        for each in running:
            each.stop()


def compare(arguments: argparse.Namespace) -> list[Measured]:
    """Run everything; each cell with fresh receivers, so that no folder grows without bound."""
    measured = []
    # The senders' files lie in memory; the receivers' on the disk of the working folder.
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as images_folder,
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
    ):
        for image in arguments.images.split(","):
            master = master_image(image, Path(images_folder))
            for associations in map(int, arguments.associations.split(",")):
                cell = Path(folder, f"{image}{associations}")
                cell.mkdir()
                with receivers_up(arguments.receivers.split(","), cell) as running:
                    measured += run_cell(arguments, image, master, associations, running, cell)
                if not arguments.keep:
                    empty_files(cell)
    return measured


def empty_files(folder: Path) -> None:
    """Free the disk space of images; their files stay, and those still being written."""
    for path in folder.rglob("*"):
        if path.name.startswith(RECORDS) or not path.is_file():
            continue
        if path.stat().st_size > 2**18:
            os.truncate(path, 0)


def make_room(folder: Path, size: int) -> None:
    """Empty what was received below `folder` where its disk has no room for `size` bytes more."""
    if shutil.disk_usage(folder).free < 1.2 * size:
        empty_files(folder)


def run_cell(
    arguments: argparse.Namespace,
    image: str,
    master: bytes,
    associations: int,
    running: list[Running],
    cell_folder: Path,
) -> list[Measured]:
    """Return the figures of one kind of image and number of associations, all receivers in turn."""
    cell = []
    step = min(range(4), key=lambda at: abs((1, 4, 16, 64)[at] - associations))
    count = max(associations, COUNTS[image][step] // (4 if arguments.quick else 1))
    for turn in range(-1, arguments.repeat):
        if not arguments.keep:
            make_room(cell_folder, len(running) * count * len(master))
        # In alternating order, so that no receiver is always first or after the same neighbor.
        for each in running if turn % 2 == 0 else reversed(running):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
                images = write_run(master, count, Path(folder))
                one = measure(each, image, images, associations)
            if turn < 0:
                continue
            cell.append(one)
            print(
                f"{one.image} x{one.associations:<3d} {one.receiver:28s} {one.mb_per_s:7.0f} MB/s "
                f"{one.objects_per_s:7.1f}/s {one.cpu_per_gb:5.2f} s/GB {one.peak_mb:5.0f} MB "
                f"{one.failures} failed",
                flush=True,
            )
    return cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="all receivers, not Wetread's alone")
    parser.add_argument("--quick", action="store_true", help="few objects, two runs")
    parser.add_argument("--images", default="A,B,C")
    parser.add_argument("--associations", default="1,4,16,64")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--receivers", default="")
    parser.add_argument("--folder", default=".", help="on whose disk the receivers write")
    keep = "leave what was received on the disk: memory given back there is slow at first use"
    parser.add_argument("--keep", action="store_true", help=keep)
    parser.add_argument("--results", type=Path, help="append every run to this JSON-lines file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeat, arguments.associations = min(arguments.repeat, 2), "1,4"
    if not arguments.receivers:
        arguments.receivers = ",".join(RECEIVERS) if arguments.peers else "wetread"
    measured = compare(arguments)
    if arguments.results:
        with arguments.results.open("a") as file:
            file.writelines(json.dumps(asdict(one)) + "\n" for one in measured)
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.platform()}\n")
    print(f"{as_table(measured)}\n\n{as_ratios(measured)}")


if __name__ == "__main__":
    main()
