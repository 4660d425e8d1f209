"""Fuzz the receiver: mutated streams, stalls at each step, connections that send nothing.

    python benchmarks/fuzz_receiver.py [--streams 100000] [--silent 10000] [--seed 1] [--plain]

A receiver runs in a process of its own. Each stream is a valid association (C-ECHO, two C-STORE,
release) that was changed by a seeded generator: bytes flipped, cut, doubled, moved, wrong lengths,
fragments of other messages or contexts between. Every second one is sent as senders do, with the rest
after the answer to its request; the others at once. At the end the process must run, with as many
threads, open files and living objects as before, no more memory, an empty temporary folder, and no
unexpected error; and a good association must be served within a second at any time. Prints the seed and
every failure.
"""

import argparse
import contextlib
import random
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psutil

CR: Final = b"1.2.840.10008.5.1.4.1.1.1"
EXPLICIT: Final = b"1.2.840.10008.1.2.1"
IDLE_SECONDS: Final = 4.0
# How long a polite sender waits for an answer that may never come.
TIMEOUT: Final = 0.1
PLAIN_TIMEOUT: Final = 0.5
# Objects that the libraries keep after the first use of a function.
STRAY_OBJECTS: Final = 300
SERVER: Final = """
import faulthandler, gc, logging, resource, signal, sys, warnings
faulthandler.register(signal.SIGUSR1)
warnings.simplefilter("ignore")  # pydicom's, as service.log does
from pathlib import Path
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool
from service.system.gc_tuning import prepare_memory
class Handler:
    def admit(self, association): return None
    def unavailable(self, association): return None
    def record(self, arrived): return [None for _ in arrived]
    def accept_commitment(self, request, association): return False
    def commitment_failures(self, request): return {}
    def association_ended(self, association, outcome): pass
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
logging.basicConfig(level=logging.WARNING)
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
idle = float(sys.argv[3])
settings = ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0, fast=sys.argv[2] == "fast",
                       idle_seconds=idle, request_seconds=idle)
scp = StorageSCP(settings, Spool(Path(sys.argv[1]), max_object_bytes=2**20), Handler())
prepare_memory()
scp.start()
print(scp.port, flush=True)
for _ in sys.stdin:
    gc.collect()
    print(len(gc.get_objects()), flush=True)
scp.stop(5)
"""


def item(kind: int, body: bytes) -> bytes:
    """Return one item of an A-ASSOCIATE-RQ."""
    return struct.pack(">BxH", kind, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    """Return one PDU."""
    return struct.pack(">BxL", kind, len(body)) + body


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """Return one presentation data value."""
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def command(values: dict[int, bytes]) -> bytes:
    """Return a command set."""
    encoded = b""
    for number, value in sorted(values.items()):
        padded = value + b"\0" * (len(value) % 2)
        encoded += struct.pack("<HHL", 0, number, len(padded)) + padded
    return struct.pack("<HHLL", 0, 0, 4, len(encoded)) + encoded


def store(message: int, uid: bytes) -> list[bytes]:
    """Return the PDUs of one C-STORE request: the command, then the data set in three fragments."""
    number = struct.Struct("<H").pack
    elements = {0x0002: CR, 0x0100: number(1), 0x0110: number(message), 0x0700: number(0)}
    elements |= {0x0800: number(0), 0x1000: uid}

    def element(group: int, tag: int, vr: bytes, value: bytes) -> bytes:
        padded = value + b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", group, tag, vr, len(padded)) + padded

    data = element(8, 0x16, b"UI", CR) + element(8, 0x18, b"UI", uid)
    data += element(0x10, 0x10, b"PN", b"Fuzz^Image") + element(0x20, 0x0D, b"UI", b"1.2.3")
    data += element(0x20, 0x0E, b"UI", b"1.2.4") + element(0x28, 0x10, b"US", b"\x10\0")
    data += struct.pack("<HH2s2xL", 0x7FE0, 0x10, b"OW", 512) + bytes(range(256)) * 2
    third = len(data) // 3
    pieces = [(0, data[:third]), (0, data[third : 2 * third]), (2, data[2 * third :])]
    return [
        pdu(4, pdv(1, 3, command(elements))),
        *(pdu(4, pdv(1, control, piece)) for control, piece in pieces),
    ]


def association(uid: bytes = b"1.2.3.4.5") -> list[bytes]:
    """Return the PDUs of a valid association."""
    body = struct.pack(">HH16s16s32x", 1, 0, b"WETREAD".ljust(16), b"FUZZ".ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, name in ((1, CR), (3, b"1.2.840.10008.1.1"), (5, b"1.2.840.10008.1.20.1")):
        names = item(0x30, name) + item(0x40, EXPLICIT) + item(0x40, b"1.2.840.10008.1.2")
        body += item(0x20, bytes([number, 0, 0, 0]) + names)
    body += item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4"))
    number = struct.Struct("<H").pack
    echo = {0x0002: b"1.2.840.10008.1.1", 0x0100: number(0x30), 0x0110: number(9)}
    asked = pdu(4, pdv(3, 3, command(echo | {0x0800: number(0x0101)})))
    return [pdu(1, body), asked, *store(1, uid), *store(2, uid + b".1"), pdu(5, bytes(4))]


REQUEST: Final = len(association()[0])

Mutation = Callable[[random.Random, list[bytes]], list[bytes]]


def flip(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Change a few bytes anywhere."""
    stream = bytearray(b"".join(pdus))
    for _ in range(dice.choice([1, 1, 1, 2, 5, 30])):
        stream[dice.randrange(len(stream))] = dice.randrange(256)
    return [bytes(stream)]


def truncate(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Cut the stream in the middle."""
    stream = b"".join(pdus)
    return [stream[: dice.randrange(len(stream) + 1)]]


def lie_about_pdu(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Change the length that a PDU declares."""
    chosen = dice.randrange(len(pdus))
    true = len(pdus[chosen]) - 6
    length = dice.choice(
        [0, 1, 5, true - 1, true + 1, true + 100, 2**18, 2**18 + 1, 2**31, 2**32 - 1]
    )
    lied = pdus[chosen][:2] + struct.pack(">L", max(0, length)) + pdus[chosen][6:]
    return [*pdus[:chosen], lied, *pdus[chosen + 1 :]]


def lie_about_pdv(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Change the length, context or control byte of a presentation data value."""
    chosen = dice.randrange(1, len(pdus) - 1)
    header = bytearray(pdus[chosen])
    if len(header) < 12:
        return pdus
    which = dice.randrange(3)
    if which == 0:
        length = dice.choice([0, 1, 2, len(header), 2**31, 2**32 - 1, dice.randrange(2**16)])
        header[6:10] = struct.pack(">L", length)
    else:
        header[9 + which] = dice.randrange(256)
    return [*pdus[:chosen], bytes(header), *pdus[chosen + 1 :]]


def shuffle(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Move, double, or leave out PDUs."""
    changed = list(pdus)
    for _ in range(dice.randrange(1, 4)):
        taken = changed.pop(dice.randrange(len(changed)))
        for _ in range(dice.choice([0, 1, 1, 2])):
            changed.insert(dice.randrange(len(changed) + 1), taken)
        if not changed:
            return [taken]
    return changed


def interleave(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Put a PDU of any type, or a fragment for any context, between others."""
    odd = dice.choice(
        [
            lambda: pdu(dice.randrange(256), dice.randbytes(dice.randrange(64))),
            lambda: pdu(
                4, pdv(dice.choice([1, 3, 7, 0, 255]), dice.randrange(4), dice.randbytes(20))
            ),
            lambda: pdu(4, pdv(1, 3, command({0x0100: b"\x30\0"}))),
            lambda: pdu(4, pdv(5, 3, dice.randbytes(80))),
            lambda: pdu(4, b"".join(pdv(1, 0, b"") for _ in range(dice.randrange(300)))),
            lambda: pdu(7, bytes([0, 0, dice.randrange(256), dice.randrange(256)])),
        ]
    )()
    at = dice.randrange(len(pdus)) + 1
    return [*pdus[:at], odd, *pdus[at:]]


def hostile_value(dice: random.Random, pdus: list[bytes]) -> list[bytes]:
    """Put text that must reach no file name or log into UIDs and titles."""
    values = [b"../../../../tmp/x", b"1.2\0/../y", b"9" * 64, b"<b>x</b>", b"%s%n%x", b"';DROP--"]
    value = dice.choice(values)
    stream = b"".join(pdus)
    target = dice.choice([b"1.2.3.4.5", b"FUZZ            ", CR, b"1.2.840.10008.1.1"])
    return [stream.replace(target, value[: len(target)].ljust(len(target), b"\0"))]


MUTATIONS: Final[Sequence[Mutation]] = (
    *(flip, flip, flip, truncate, lie_about_pdu, lie_about_pdv),
    *(shuffle, interleave, hostile_value),
)


def mutated(seed: int, number: int) -> bytes:
    """Return the stream of a seed and a number, always the same."""
    dice = random.Random(f"{seed}/{number}")
    pdus = association(f"1.2.3.4.5.{number}".encode() if dice.random() < 0.5 else b"1.2.3.4.5")
    for _ in range(dice.choice([1, 1, 1, 2])):
        if len(pdus) > 2:
            pdus = dice.choice(MUTATIONS)(dice, pdus)
    return b"".join(pdus)


class Victim:
    """A receiver in a process of its own, and its resources as seen from outside."""

    def __init__(self, folder: Path, *, fast: bool) -> None:
        self.is_plain = not fast
        self.spool = folder / "spool"
        self.log = folder / "log"
        path = "fast" if fast else "plain"
        with self.log.open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, "-c", SERVER, str(self.spool), path, str(IDLE_SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.port = int(self.process.stdout.readline())

    def connect(self) -> socket.socket:
        """Return a connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def exchange(self, stream: bytes, *, politely: bool = False) -> bytes:
        """Send a stream, close that direction, and return the answer.

        Args:
            stream: All bytes of one connection.
            politely: Wait for answers to the request and to the rest, as senders do; the plain path
                refuses unread what arrives too early or before the end of the connection.
        """
        answer = b""
        with contextlib.suppress(OSError), self.connect() as connection:
            if politely:
                for part in (stream[:REQUEST], stream[REQUEST:]):
                    connection.sendall(part)
                    answer += spoken(connection, PLAIN_TIMEOUT if self.is_plain else TIMEOUT)
                stream = b""
            connection.settimeout(IDLE_SECONDS + 10)
            with contextlib.suppress(OSError):
                connection.sendall(stream)
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def good(self, wait: float = 0.0) -> float:
        """Return the seconds that a good association takes.

        Raises:
            AssertionError: The association was not served.
        """
        begun = time.monotonic()
        with self.connect() as connection:
            connection.settimeout(20)
            pdus = association(f"1.2.3.9.{time.monotonic_ns()}".encode())
            connection.sendall(pdus[0])
            answer = connection.recv(65536)
            time.sleep(wait)
            connection.sendall(b"".join(pdus[1:-1]))
            while stored(answer) < 3:
                more = connection.recv(65536)
                if not more:
                    raise AssertionError(f"a good association was not served: {answer[-20:]!r}")
                answer += more
            connection.sendall(pdus[-1])
            while connection.recv(65536):
                pass
        return time.monotonic() - begun

    def state(self) -> tuple[int, int, float]:
        """Return its threads, open files and MB of private memory.

        Libraries do not count: their share changes with other processes that map them.
        """
        memory = self.process.memory_info()
        asked = (memory.rss - memory.shared) / 2**20
        return self.process.num_threads(), self.process.num_fds(), asked

    def objects(self) -> int:
        """Return the number of its live objects: this shows a leak independently of the allocator."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def settled(self, threads: int = 3, files: int = 8) -> tuple[int, int, float]:
        """Return its state once it has no more threads and files than these, or after a while."""
        end = time.monotonic() + IDLE_SECONDS + 6
        while time.monotonic() < end:
            if self.process.num_threads() <= threads and self.process.num_fds() <= files:
                break
            time.sleep(0.1)
        return self.state()

    def end(self) -> None:
        """Stop it."""
        self.process.stdin.close()
        self.process.wait(20)


def spoken(connection: socket.socket, timeout: float) -> bytes:
    """Return what the peer sends until it pauses or closes the connection."""
    connection.settimeout(timeout)
    answer = b""
    with contextlib.suppress(TimeoutError):
        while piece := connection.recv(65536):
            answer += piece
            if answer[:1] == b"\x02" and len(answer) == 6 + int.from_bytes(answer[2:6], "big"):
                break  # accepted; nothing else follows now
    return answer


def stored(answer: bytes) -> int:
    """Return how many responses with status 0x0000 are in the sent bytes."""
    return answer.count(struct.pack("<HHLH", 0, 0x0900, 2, 0))


def fuzz(victim: Victim, numbers: range, seed: int) -> tuple[Counter[str], float]:
    """Send the streams from 16 threads; return how they ended and the slowest good association."""

    def one(number: int) -> bytes:
        return victim.exchange(mutated(seed, number), politely=victim.is_plain or number % 2 == 0)

    ends: Counter[str] = Counter()
    slowest, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            slowest.append(victim.good())

    with ThreadPoolExecutor(17) as threads:
        watcher = threads.submit(watch)
        try:
            for answer in threads.map(one, numbers):
                aborted = answer[-10:-4] == b"\x07\x00\x00\x00\x00\x04"
                released = answer[-10:-4] == b"\x06\x00\x00\x00\x00\x04"
                ends["aborted" if aborted else "released" if released else "closed"] += 1
                ends["objects acknowledged"] += stored(answer)
        finally:
            over.set()
        watcher.result()
    return ends, max(slowest)


def stall(victim: Victim, each: int) -> float:
    """Stop sending at each step, on many connections; return the seconds of a good association."""
    stream = b"".join(association())
    request = len(association()[0])
    steps = [0, 1, 5, 50, request, request + 3, request + 40, request + 150, len(stream) - 700]
    steps += [len(stream) - 300, len(stream) - 10, len(stream) - 5]
    with held() as connections:
        for step in steps:
            for _ in range(each):
                connections.append(victim.connect())
                connections[-1].sendall(stream[:step])
        return victim.good()


def silent(victim: Victim, count: int) -> float:
    """Open connections that send nothing; return the seconds of a good association among them."""
    with held() as connections:
        for _ in range(count):
            connections.append(victim.connect())
        return victim.good()


@contextlib.contextmanager
def held() -> Iterator[list[socket.socket]]:
    """Yield a list of sockets; close them at the end."""
    connections: list[socket.socket] = []
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--silent", type=int, default=10_000)
    parser.add_argument("--stalled", type=int, default=10, help="connections at each step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="receive the plain way")
    return parser.parse_args()


def abuse(victim: Victim, options: argparse.Namespace) -> Iterator[str]:
    """Run every attack on the receiver; yield each failure."""
    begun = time.monotonic()
    ends, slowest = fuzz(victim, range(options.streams), options.seed)
    print(f"seed {options.seed}: {options.streams} streams in {time.monotonic() - begun:.0f} s")
    print(f"  {dict(ends)}")
    waits = {
        "between mutated streams": slowest,
        "between stalled ones": stall(victim, options.stalled),
        f"between {options.silent} silent ones": silent(victim, options.silent),
    }
    for where, seconds in waits.items():
        print(f"  a good association {where}: {seconds * 1000:.0f} ms")
        if seconds > 1.0:
            yield f"a good association {where} took {seconds:.1f} s"


def left_behind(victim: Victim, before: tuple[int, int, float], living: int) -> Iterator[str]:
    """Yield each remain of the attacks: in the process, on the disk, in the log.

    Args:
        victim: The receiver after the attacks; it is stopped.
        before: Its threads, open files and MB before.
        living: Its objects before.
    """
    after, left_living = victim.settled(*before[:2]), victim.objects()
    print(f"  threads, files, MB before {before} and after {after}")
    print(f"  living objects before {living} and after {left_living}")
    if left_living > living + STRAY_OBJECTS:
        yield f"{left_living - living} objects more are alive than before"
    if after[0] > before[0] or after[1] > before[1] or after[2] > before[2] + 24:
        yield "threads, open files or memory have grown"
    if left := list((victim.spool / "tmp").iterdir()):
        yield f"{len(left)} temporary files are left"
    victim.end()
    log = victim.log.read_text()
    unforeseen = [line for line in log.splitlines() if "unexpected" in line]
    if unforeseen or "Traceback" in log:
        print(log.partition("unexpected")[2][:4000])
        yield f"unforeseen errors: {Counter(unforeseen)}"


def main() -> int:
    """Run it; return 1 if anything remained or failed."""
    options = arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        victim = Victim(Path(folder), fast=not options.plain)
        warm = min(500, options.streams // 4)
        fuzz(victim, range(10**9, 10**9 + warm), options.seed)
        before, living = victim.settled(), victim.objects()
        faults = [*abuse(victim, options), *left_behind(victim, before, living)]
    print("\n".join(f"FAULT: {fault}" for fault in faults) or "nothing left, nothing lost")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
