"""Packets written bit by bit, and what is refused of them (ISO/IEC 15444-1 B.10)."""

import pytest

from dicom.codestreams.jpeg2000_packets import pass_packets
from dicom.codestreams.jpeg2000_tiles import Area, CodingStyle
from dicom.errors import PixelError

TILE = Area(0, 0, 64, 64)


def style(**changes):
    """Return a style with one resolution and one code-block."""
    values = {
        "progression": 0,
        "layers": 1,
        "levels": 0,
        "block": (6, 6),
        "flags": 0,
        "precincts": ((15, 15),),
    }
    return CodingStyle(**{**values, **changes})


def packed(bits: str) -> bytes:
    """Return bits as whole bytes, filled with zeros."""
    text = bits.replace(" ", "")
    text = text.ljust(-(-len(text) // 8) * 8, "0")
    return int(text, 2).to_bytes(len(text) // 8)


# Packet with data; block included; no missing bit-plane; one pass; Lblock stays 3; 5 bytes.
ONE_BLOCK = packed("1 1 1 0 0 101")
# Second layer: packet with data; block included; one pass; Lblock stays 3; 2 bytes.
MORE_OF_IT = packed("1 1 0 0 010")


def test_a_packet_without_data_is_one_byte():
    """Its first bit is zero."""
    pass_packets(b"\x00", TILE, style())


def test_a_packet_with_one_block_is_passed():
    """The header states how long the block is; markers around it are optional."""
    pass_packets(ONE_BLOCK + b"abcde", TILE, style())
    pass_packets(
        b"\xff\x91\x00\x04\x00\x00" + ONE_BLOCK + b"\xff\x92abcde", TILE, style(precincts=((7, 7),))
    )


@pytest.mark.parametrize("progression", range(5))
def test_layers_continue_a_block(progression):
    """A block that was included needs one bit in a later layer."""
    data = ONE_BLOCK + b"abcde" + MORE_OF_IT + b"fg"
    pass_packets(data, TILE, style(layers=2, progression=progression))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not complete"),
        (ONE_BLOCK + b"abcd", "not complete"),
        (ONE_BLOCK + b"abcdef", "1 bytes are left"),
        (b"\x00\x00\x00", "2 bytes are left"),
        (ONE_BLOCK + b"ab\xff\x93e", "has a marker"),
        (packed("1 1" + "0" * 170), "header is invalid"),
        (packed("1 1 1 0" + "1" * 40), "header is invalid"),
    ],
)
def test_what_does_not_fill_the_tile_is_refused(data, problem):
    """Data that is missing, left over, overwritten or impossible."""
    with pytest.raises(PixelError, match=problem):
        pass_packets(data, TILE, style())


def test_a_run_of_equal_bytes_is_a_hole():
    """64 equal bytes are not arithmetically coded data; raw bits may repeat."""
    # Four more length bits: Lblock 7, length 100.
    header = packed("1 1 1 0 11110 1100100")
    with pytest.raises(PixelError, match="has a hole"):
        pass_packets(header + bytes(100), TILE, style())
    pass_packets(header + bytes(range(100)), TILE, style())
    pass_packets(header + bytes(100), TILE, style(flags=0x01))


def test_an_unknown_progression_is_refused():
    """The Standard defines 0 to 4."""
    with pytest.raises(PixelError, match="progression order"):
        pass_packets(b"\x00", TILE, style(progression=5))
