"""Scans of progressive JPEG images, by the rules of ISO/IEC 10918-1 G."""

import pytest

from dicom.codestreams.huffman import make_table
from dicom.codestreams.jpeg_progressive import Progress, ProgressiveScan
from dicom.errors import PixelError

# Codes of two bits: end of band, coefficient of one bit, end of band for 2 or 3 blocks, 16 zeros.
TABLE = make_table(bytes([0, 4, *[0] * 14]), bytes([0x00, 0x01, 0x10, 0xF0]))


def packed(bits: str) -> bytes:
    """Return bits as bytes, filled with ones."""
    text = bits.replace(" ", "")
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8)


def scan(bits, *, band=(1, 5), refines=False, blocks=3, nonzero=(), table=TABLE):
    """Return a scan of some blocks; `nonzero` coefficients are known from earlier scans."""
    progress = Progress(bytearray(64 * blocks))
    for at in nonzero:
        progress.nonzero[at] = 1
    return ProgressiveScan(packed(bits), table, band, refines, progress)


def test_an_image_is_complete_when_all_bits_were_sent():
    """DC first, then two bands, the second in two scans."""
    progress = Progress(bytearray(64))
    assert not progress.start(0, 0, 0x00)
    assert not progress.start(1, 5, 0x00)
    assert not progress.start(6, 63, 0x01)
    assert not progress.complete
    assert progress.start(6, 63, 0x10)
    assert progress.complete


@pytest.mark.parametrize(
    ("scans", "problem"),
    [
        ([(0, 5, 0)], "scan of the compressed image is damaged"),
        ([(1, 64, 0)], "damaged"),
        ([(5, 1, 0)], "damaged"),
        ([(0, 0, 0x31)], "damaged"),
        ([(0, 0, 0x10)], "one of its scans is missing"),
        ([(0, 0, 0x02), (0, 0, 0x10)], "one of its scans is missing"),
        ([(0, 0, 0), (0, 0, 0)], "one of its scans is missing"),
    ],
)
def test_a_scan_that_does_not_continue_the_others_is_refused(scans, problem):
    """G.1.1.1: each scan sends the next bit of its coefficients."""
    progress = Progress(bytearray(64))
    *before, last = scans
    for each in before:
        progress.start(*each)
    with pytest.raises(PixelError, match=problem):
        progress.start(*last)


def test_first_scan_of_a_band():
    """A coefficient with its bit, end of band; then a run of two blocks without coefficients."""
    walk = scan("01 1 00   10 0")
    assert walk.passing(0, 0, 3) == (8, 3)
    assert walk.progress.nonzero[1] == 1
    assert sum(walk.progress.nonzero) == 1


def test_refining_scan_of_a_band():
    """One bit for each coefficient that is known, also after the end of the band."""
    walk = scan("00 1", refines=True, blocks=1, nonzero=[3])
    assert walk.passing(0, 0, 1) == (3, 1)
    fresh = scan("01 1 1 00", refines=True, blocks=1, nonzero=[1])
    assert fresh.passing(0, 0, 1) == (6, 1)
    assert fresh.progress.nonzero[2] == 1


def test_refined_mean_is_one_bit_per_block():
    """A refining DC scan has no codes and needs no table (G.1.2.1)."""
    assert scan("101", band=(0, 0), refines=True, table=None).passing(0, 0, 3) == (3, 3)


def test_what_exceeds_the_image_is_refused():
    """A run of blocks beyond the last one, a coefficient beyond the band."""
    with pytest.raises(PixelError, match="run of blocks does not end"):
        scan("10 1", blocks=1).passing(0, 0, 1)
    after_five = make_table(bytes([1, *[0] * 15]), b"\x51")
    with pytest.raises(PixelError, match="too many coefficients"):
        scan("0 1", blocks=1, table=after_five).passing(0, 0, 1)


def test_a_missing_table_is_named():
    """A scan of coefficients needs a table."""
    with pytest.raises(PixelError, match="lacks a Huffman table"):
        scan("00", table=None).passing(0, 0, 1)


def test_data_that_ends_gives_the_number_of_blocks():
    """The blocks that the data has are counted."""
    assert scan("00 00 00 00", blocks=9).passing(0, 0, 9)[1] < 9
