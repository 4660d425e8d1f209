"""The fragments of a data set, in PDUs of every division, reach the file in order."""

import random
import struct

import pytest

from dicom.scp.fast_path.dataset_transfer import DatasetTransfer
from dicom.scp.pdu_codec import UnexpectedFragment

BUFFER = 200_000


class Source:
    """The part of `BufferedSocket` that a transfer uses, filled from bytes in small reads."""

    def __init__(self, data, step):
        self.view = memoryview(bytearray(BUFFER))
        self.low = self.high = 0
        self._data, self._step = data, step

    @property
    def room(self):
        """Free bytes at the end."""
        return BUFFER - self.high

    def compact(self):
        """Move the unread bytes to the beginning."""
        have = self.high - self.low
        self.view[:have] = bytes(self.view[self.low : self.high])
        self.low, self.high = 0, have

    def fill(self, _expected=0):
        """Read the next bytes."""
        if not self._data:
            raise ConnectionError
        part, self._data = self._data[: self._step], self._data[self._step :]
        part, rest = part[: self.room], part[self.room :]
        self._data = rest + self._data
        self.view[self.high : self.high + len(part)] = part
        self.high += len(part)


class File:
    """Collects the written bytes."""

    def __init__(self):
        self.content = b""

    def write_all(self, pieces):
        """Append."""
        self.content += b"".join(pieces)


def fragment(data, *, context=1, control=0):
    """Return a presentation data value."""
    return struct.pack(">LBB", len(data) + 2, context, control) + data


def pdu(*fragments):
    """Return a P-DATA-TF PDU."""
    body = b"".join(fragments)
    return struct.pack(">BxL", 4, len(body)) + body


def transfer(data, *, step=1000):
    """Return the result, the file and the source of a transfer whose first PDU begins `data`."""
    source, file = Source(data, step), File()
    source.fill()
    while source.high < 6:
        source.fill()
    left = struct.unpack_from(">L", source.view, 2)[0]
    source.low = 6
    made = DatasetTransfer(source, file, left)
    return made.run(1), file, source, made


@pytest.mark.parametrize("step", [1, 7, 1000, 150_000])
def test_the_bytes_are_those_that_were_sent(step):
    """For any division into PDUs, fragments and reads."""
    rng = random.Random(step)
    content = rng.randbytes(3000 if step == 1 else 400_000)
    pdus, at = [], 0
    while at < len(content):
        pieces = []
        for _ in range(rng.randint(1, 3)):
            size = rng.randint(1, 30_000)
            piece = content[at : at + size]
            at += len(piece)
            if piece:
                pieces.append(fragment(piece, control=2 if at >= len(content) else 0))
        pdus.append(pdu(*pieces))
    done, file, _, made = transfer(b"".join(pdus), step=step)
    assert done
    assert file.content == content
    assert made.pdu_left == 0


def test_what_follows_in_the_pdu_is_left():
    """The next command may be in the PDU of the last fragment."""
    rest = fragment(b"command", control=3)
    done, file, _, made = transfer(pdu(fragment(b"ab", control=2), rest))
    assert (done, file.content, made.pdu_left) == (True, b"ab", len(rest))


def test_another_pdu_ends_the_transfer():
    """An A-ABORT is left unread for the state machine."""
    abort = struct.pack(">BxLxxBB", 7, 4, 0, 0)
    done, file, source, _ = transfer(pdu(fragment(b"ab")) + abort)
    assert (done, file.content) == (False, b"ab")
    assert bytes(source.view[source.low : source.low + 10]) == abort


@pytest.mark.parametrize(
    "data",
    [
        pdu(fragment(b"ab", context=3)),
        pdu(fragment(b"ab", control=1)),
        pdu(fragment(b"ab"))[:6] + struct.pack(">LBB", 400, 1, 0) + b"ab",
        pdu(fragment(b"ab"))[:6] + struct.pack(">LBB", 1, 1, 0) + b"ab",
        pdu(fragment(b"ab")) + struct.pack(">BxL", 4, 3) + bytes(8),
    ],
)
def test_a_fragment_of_another_message_is_refused(data):
    """Another context, a command, a length that contradicts its PDU."""
    with pytest.raises(UnexpectedFragment):
        transfer(data)


def test_a_connection_that_ends_is_an_error():
    """No partial transfer counts as complete."""
    with pytest.raises(ConnectionError):
        transfer(pdu(fragment(b"abcd", control=2))[:-1])
