"""Connections that send nothing, or stop in the middle of a request or of an image."""

import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from fuzz_receiver import association

from fault_injection.faults import Absent, Felt, Question, soon
from fault_injection.site import CALLING, Site

_FEW: Final = 10
_ONE_IMAGE: Final = 6  # PDUs: the request, C-ECHO, C-STORE and its data set in three fragments
_MORE_THAN_IT_TAKES: Final = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The stream of a peer for one of the endpoints.

    Attributes:
        port: The port of the endpoint.
        stream: The complete stream; its last byte is never sent.
        greeting: Length of the part at its beginning that is answered before an image is sent.
    """

    port: int
    stream: bytes
    greeting: int


def modality(site: Site) -> Peer:
    """Return the stream of one image for the DICOM port, with an AE title that is admitted."""
    pdus = association()[:_ONE_IMAGE]
    stream, greeting = b"".join(pdus), len(pdus[0])
    known = stream[:greeting].replace(b"FUZZ".ljust(16), CALLING[0].encode().ljust(16))
    return Peer(port=site.port, stream=known + stream[greeting:], greeting=greeting)


def web_client(site: Site) -> Peer:
    """Return the stream for the STOW-RS endpoint, with a token."""
    lines = [
        "POST /dicom-web/studies HTTP/1.1",
        f"Host: 127.0.0.1:{site.stow_port}",
        f"Authorization: Bearer {site.tokens[CALLING[0]]}",
        'Content-Type: multipart/related; type="application/dicom"; boundary=X',
        "Content-Length: 200000",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    image = b"--X\r\nContent-Type: application/dicom\r\n\r\n" + bytes(128) + b"DICM" + bytes(2**16)
    return Peer(port=site.stow_port, stream=head + image, greeting=len(head))


@contextmanager
def half_open(
    site: Site, dice: random.Random, *, whose: Callable[[Site], Peer]
) -> Iterator[Question]:
    """Open a few connections, or more than the receiver accepts at a time, and leave them idle."""
    peer = whose(site)
    if not soon(lambda: _answers(peer)):
        raise Absent
    many = site.settings.receiver.max_associations + _MORE_THAN_IT_TAKES
    with contextlib.ExitStack() as connections:
        held = 0
        for _ in range(dice.choice([_FEW, many])):
            # A server beyond its limit may close the connection.
            with contextlib.suppress(OSError):
                connections.enter_context(_connected(peer, dice))
                held += 1
        yield lambda: Felt(held >= _FEW)


def _answers(peer: Peer) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", peer.port), 1).close()
        return True
    return False


def _connected(peer: Peer, dice: random.Random) -> "contextlib.closing[socket.socket]":
    lengths = [0, dice.randrange(peer.greeting), dice.randrange(peer.greeting, len(peer.stream))]
    connection = socket.create_connection(("127.0.0.1", peer.port), 1)
    try:
        connection.sendall(peer.stream[: dice.choice(lengths)])
    except OSError:
        connection.close()
        raise
    return contextlib.closing(connection)
