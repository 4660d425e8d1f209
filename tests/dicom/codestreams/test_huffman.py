"""Huffman tables and walks, against the tables and rules of ISO/IEC 10918-1."""

import numpy as np
import pytest

from dicom.codestreams.huffman import (
    Lookups,
    coefficient_advance,
    coefficient_bits,
    difference_bits,
    differences_at,
    make_table,
    pass_blocks,
    pass_samples,
    read_tables,
)
from dicom.errors import PixelError

# Table K.3: DC differences of luminance.
COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
DC = make_table(COUNTS, bytes(range(12)))
# Three codes of two bits: coefficient of one bit without zeros before it, end of block, 16 zeros.
AC = make_table(bytes([0, 3, *[0] * 14]), bytes([0x01, 0x00, 0xF0]))


def packed(bits: str) -> bytes:
    """Return a string of bits, filled with ones to whole bytes."""
    text = bits.replace(" ", "")
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8)


def window(code: str) -> int:
    """Return 16 bits that begin with a code."""
    return int(code.ljust(16, "0"), 2)


@pytest.mark.parametrize(
    ("code", "category"), [("00", 0), ("010", 1), ("110", 5), ("1110", 6), ("111111110", 11)]
)
def test_a_code_has_the_category_of_table_k_3(code, category):
    """The codes that the Standard prints for luminance differences."""
    assert DC.bits[window(code)] == len(code)
    assert DC.symbols[window(code)] == category


def test_bits_without_a_code_are_undefined():
    """Nine ones begin no code of table K.3."""
    assert DC.bits[0xFFFF] == 0
    assert difference_bits(DC)[0xFFFF] == 0
    assert difference_bits(DC)[window("1110")] == 4 + 6


def test_a_segment_holds_several_tables():
    """A DHT segment gives each table by class and destination; one that is cut off is refused."""
    segment = b"\x00" + COUNTS + bytes(range(12)) + b"\x11" + bytes([1, *[0] * 15]) + b"\x05"
    tables = read_tables(segment)
    assert sorted(tables) == [0x00, 0x11]
    assert tables[0x11][1] == b"\x05"
    with pytest.raises(PixelError, match="cut off"):
        read_tables(segment[:-1])


def test_a_table_with_too_many_codes_is_refused():
    """Three codes of one bit do not exist."""
    with pytest.raises(PixelError, match="damaged"):
        make_table(bytes([3, *[0] * 15]), bytes(3))


def test_differences_are_extended_as_in_the_standard():
    """F.2.2.1: category 3 with bits 101 is 5, with 010 it is -5; category 0 has no bits."""
    data = packed("100 101  100 010  00")
    assert differences_at(data, [0, 6, 12], DC).tolist() == [5, -5, 0]


def test_samples_are_passed_to_their_end():
    """Three codes of 6, 6 and 2 bits are passed; a fourth sample does not exist."""
    samples = Lookups(packed("100 101  100 010  00") + b"\xff", difference_bits(DC))
    assert pass_samples(samples, 0, 3) == (14, 3)
    with pytest.raises(PixelError, match="undefined code at byte 1"):
        pass_samples(samples, 0, 4)


def test_samples_that_end_early_are_counted():
    """The walk reports how many samples the data has."""
    assert pass_samples(Lookups(packed("00000000"), difference_bits(DC)), 0, 9)[1] == 4


def test_blocks_are_passed_to_their_end():
    """A block is a difference and coefficients up to the end-of-block code."""
    data = packed("00 00 1 01   010 1 01") + b"\xff"
    blocks = Lookups(data, difference_bits(DC), coefficient_bits(AC), coefficient_advance(AC))
    assert pass_blocks(blocks, 0, 2) == (13, 2)
    assert blocks.block_starts == [0, 7]


def test_a_block_with_too_many_coefficients_is_refused():
    """Four runs of 16 zeros after the DC coefficient are 65 coefficients."""
    data = packed("00 10 10 10 10")
    blocks = Lookups(data, difference_bits(DC), coefficient_bits(AC), coefficient_advance(AC))
    with pytest.raises(PixelError, match="block of coefficients"):
        pass_blocks(blocks, 0, 1)


def test_lookups_continue_over_blocks_of_data():
    """Positions beyond the first 16 KiB of data have the values of their own bits."""
    data = np.random.default_rng(2).integers(0, 256, 40_000).astype(np.uint8).tobytes()
    lookups = Lookups(data, DC.bits)
    for position in (0, 131_073, 300_001, 131_073):
        begin, (values,) = lookups.at(position)
        first = position // 8
        bits = int.from_bytes(data[first : first + 3]) >> (8 - position % 8) & 0xFFFF
        assert values[position - begin] == DC.bits[bits]
