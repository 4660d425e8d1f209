"""MLLP frames are found however the stream is split; what is none is reported."""

import pytest

from service.hl7.framing import Decoder, FramingFault, Rejected
from tests.hl7_messages import framed

OUTSIDE, NO_END = Rejected(FramingFault.OUTSIDE), Rejected(FramingFault.NO_END)
BROKEN_END = Rejected(FramingFault.BROKEN_END)


def fed(*pieces, limit=100):
    """Return what is found in the pieces, and the decoder."""
    decoder = Decoder(limit)
    return [found for piece in pieces for found in decoder.feed(piece)], decoder


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_messages_are_found_in_any_pieces(size):
    """Several in one piece, one in many pieces."""
    stream = framed(b"one") + framed(b"") + b"\r\n" + framed(b"t\rwo") + framed(b"three")
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert fed(*pieces)[0] == [b"one", b"", b"t\rwo", b"three"]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"GET / HTTP/1.1\r\n" + framed(b"a"), [OUTSIDE, b"a"]),
        (b"\x0blost\r" + framed(b"a"), [NO_END, b"a"]),
        (b"\x0ba\x1c" + framed(b"b"), [b"a", b"b"]),
        (b"\x0ba\x1c\n" + framed(b"b"), [b"a", b"b"]),
        (b"\x0ba\x1cb\x1c\r" + framed(b"c"), [BROKEN_END, OUTSIDE, b"c"]),
        (b"\x1c\r" + framed(b"a"), [OUTSIDE, b"a"]),
    ],
)
def test_what_is_no_frame_is_reported_and_the_next_message_is_found(stream, found):
    """Bytes outside, a missing end, an end byte within; an end without CR is accepted."""
    assert fed(stream)[0] == found


def test_a_message_without_end_is_not_yielded():
    """It may be cut off."""
    found, decoder = fed(b"\x0bhalf")
    assert (found, decoder.is_within_message) == ([], True)


@pytest.mark.parametrize("pieces", [(framed(b"x" * 101),), (b"\x0b" + b"x" * 60, b"x" * 60)])
def test_a_message_that_is_too_long(pieces):
    """Its begin is there for the answer, and no more is kept than that and one piece."""
    ((rejected,), _) = fed(*pieces)
    assert rejected.fault is FramingFault.TOO_LONG
    assert rejected.head == b"x" * len(rejected.head)
    assert fed(framed(b"x" * 100))[0] == [b"x" * 100]
