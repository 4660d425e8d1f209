"""Measure the time from the last byte of an image to its Success, step by step.

    python benchmarks/receive_latency.py [--images 40] [--rows 2500] [--columns 2048] [--folder .]

One association, one image after another, each its own study; the receiver runs in this process, with
sync and its database row, so that each of its steps can be timed. On a machine that does other work the
lowest figures say most.
"""

import argparse
import functools
import shutil
import socket
import statistics
import struct
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import structlog
from fuzz_receiver import CR, EXPLICIT, command, item, pdu, pdv

from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool import ingest
from dicom.spool.incoming_file import Incoming
from dicom.spool.spool import Spool
from service.database import schema
from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.settings.config import Settings
from service.store import Store

TIMES: dict[str, list[float]] = defaultdict(list)
FRAGMENT = 131_060


def timed(owner: object, name: str, label: str) -> None:
    """Record every call of a function."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> object:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            TIMES[label].append(time.perf_counter() - begun)

    setattr(owner, name, wrapper)


def image(number: int, rows: int, columns: int) -> tuple[bytes, bytes]:
    """Return the command and the data set of a blank image."""
    uid = f"1.2.3.{number}".encode()

    def element(group: int, tag: int, vr: bytes, value: bytes) -> bytes:
        padded = value + b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", group, tag, vr, len(padded)) + padded

    size = struct.Struct("<H").pack
    data = element(8, 0x16, b"UI", CR) + element(8, 0x18, b"UI", uid)
    data += element(8, 0x60, b"CS", b"CR") + element(0x18, 0x15, b"CS", b"CHEST")
    data += element(0x20, 0x0D, b"UI", b"1.2.4." + uid) + element(
        0x20, 0x0E, b"UI", b"1.2.5." + uid
    )
    data += element(0x28, 0x10, b"US", size(rows)) + element(0x28, 0x11, b"US", size(columns))
    data += struct.pack("<HH2s2xL", 0x7FE0, 0x10, b"OW", rows * columns * 2)
    elements = {0x0002: CR, 0x0100: size(1), 0x0110: size(1), 0x0700: size(0), 0x0800: size(0)}
    return command(elements | {0x1000: uid}), data + bytes(rows * columns * 2)


def send(port: int, images: int, rows: int, columns: int) -> list[float]:
    """Return for each image the seconds from its last byte to the response."""
    body = struct.pack(">HH16s16s32x", 1, 0, b"WETREAD".ljust(16), b"BENCH".ljust(16))
    names = item(0x30, CR) + item(0x40, EXPLICIT)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, bytes([1, 0, 0, 0]) + names)
    body += item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4"))
    waits = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(pdu(1, body))
        connection.recv(4096)
        for number in range(images):
            elements, data = image(number, rows, columns)
            cut = range(0, len(data), FRAGMENT)
            fragments = [(2 * (at == cut[-1]), data[at : at + FRAGMENT]) for at in cut]
            pdus = [pdu(4, pdv(1, control, piece)) for control, piece in fragments]
            connection.sendall(pdu(4, pdv(1, 3, elements)) + b"".join(pdus[:-1]) + pdus[-1][:-1])
            # The receiver has read all other bytes when the last one is sent.
            time.sleep(0.05)
            begun = time.perf_counter()
            connection.sendall(pdus[-1][-1:])
            connection.recv(4096)
            waits.append(time.perf_counter() - begun)
        connection.sendall(pdu(5, bytes(4)))
        connection.recv(4096)
    return waits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rows", type=int, default=2500)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--folder", default=".", help="on whose disk the receiver writes")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    timed(Incoming, "sync", "file to stable storage")
    timed(ingest, "read_arriving_header", "header read and checked")
    timed(Spool, "place", "file synced and named")
    timed(Spool, "settle", "folder to stable storage")
    timed(Store, "add_instances", "row committed")
    timed(StorageSCP, "stored", "all of it in the receiver")
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    settings = Settings(data_dir=folder, receiver={"open": True})
    schema.upgrade(settings.database_url)
    store = Store.open(settings)
    intake = Intake(store, settings, lambda _: None)
    reception = StorageService(settings, store, intake, Commitments(settings, store))
    listening = ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0)
    scp = StorageSCP(listening, Spool(settings.spool_dir), reception)
    scp.start()
    try:
        waits = send(scp.port, arguments.images, arguments.rows, arguments.columns)
    finally:
        scp.stop(5)
        store.close()
        shutil.rmtree(folder)
    print("| step | median ms | least | most |\n|---|---|---|---|")
    for label, seconds in [("last byte to Success", waits), *TIMES.items()]:
        least, most = min(seconds) * 1000, max(seconds) * 1000
        print(f"| {label} | {statistics.median(seconds) * 1000:.1f} | {least:.1f} | {most:.1f} |")


if __name__ == "__main__":
    main()
